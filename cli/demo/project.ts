// The example project as a zip, the way a user would hand it over.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeZip, type ZipEntry } from './zip.ts';

export interface Project {
  files: number;
  zip: Buffer;
}

/** Everything in the directory but byte code and documentation, in order of name. */
export async function packProject(directory: string): Promise<Project> {
  const found = await readdir(directory, { recursive: true, withFileTypes: true });
  const names = found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .filter((name) => !name.includes('__pycache__') && !name.endsWith('.md'))
    .sort();
  const entries: ZipEntry[] = [];
  for (const name of names) entries.push({ name, content: await readFile(join(directory, name)) });
  return { files: entries.length, zip: makeZip(entries) };
}

// A TypeScript program of this repository as the JavaScript files it needs to run elsewhere: everything it imports, with the
// types taken out here (under emulation Node would need seconds for that), and the packages it imports.
import { readdir, readFile } from 'node:fs/promises';
import { stripTypeScriptTypes } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import type { ArchiveEntry } from './newc-archive.ts';

/** As our formatter writes them: the end of every import and re-export. */
const importedNames = /(?:\bfrom |^import )'([^'\n]+)'(?=;$)/gm;
const packageFile = z.object({ dependencies: z.record(z.string(), z.string()).optional() });

/** Archive entries of the program at `entry` (a path below `repository`), which then stands at `/wb/ENTRY`, ending in `.js`. */
export async function programFiles(repository: string, entry: string): Promise<ArchiveEntry[]> {
  const sources = new Map<string, string>();
  const packages = new Set<string>();
  const waiting = [join(repository, entry)];
  for (let file = waiting.pop(); file !== undefined; file = waiting.pop()) {
    if (sources.has(file)) continue;
    const code = stripTypeScriptTypes(await readFile(file, 'utf8'));
    sources.set(file, code);
    for (const [, name = ''] of code.matchAll(importedNames)) {
      if (name.startsWith('.')) waiting.push(join(dirname(file), name));
      else if (!name.startsWith('node:')) packages.add(name);
    }
  }
  const own = [...sources].map(([file, code]) => ({
    path: `/wb/${relative(repository, file).replace(/\.ts$/, '.js')}`,
    bytes: Buffer.from(code.replace(importedNames, (statement) => statement.replace(/\.ts'$/, ".js'"))),
  }));
  const foreign = await Promise.all([...packages].map((name) => packageFiles(repository, name)));
  return [{ path: '/wb/package.json', bytes: Buffer.from('{"type":"module"}') }, ...own, ...foreign.flat()];
}

async function packageFiles(repository: string, name: string): Promise<ArchiveEntry[]> {
  const directory = join('node_modules', name);
  const { dependencies = {} } = packageFile.parse(
    JSON.parse(await readFile(join(repository, directory, 'package.json'), 'utf8')),
  );
  const files = await readdir(join(repository, directory), { recursive: true });
  const own = files
    .filter((file) => /\.m?js$|(^|\/)package\.json$/.test(file))
    .map((file) => ({ path: join('/wb', directory, file), file: join(repository, directory, file) }));
  const below = await Promise.all(Object.keys(dependencies).map((other) => packageFiles(repository, other)));
  return [...own, ...below.flat()];
}

// A Dockerfile project that runs on Node: this repository's Node and some of its packages go into the zip, so that nothing has to be fetched.
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { projectFiles } from './real-node.ts';
import { type ZipEntry, zipOf } from './zip.ts';

const modules = resolve(import.meta.dirname, '../../node_modules');

/** `packages` and all that they depend on, as far as the root of node_modules has it. */
async function closure(packages: readonly string[]): Promise<Set<string>> {
  const found = new Set<string>();
  const waiting = [...packages];
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    const { dependencies = {} } = JSON.parse(await readFile(join(modules, name, 'package.json'), 'utf8'));
    waiting.push(...Object.keys(dependencies));
  }
  return found;
}

async function packageFiles(name: string): Promise<ZipEntry[]> {
  const entries = await readdir(join(modules, name), { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && /\.(c?js|mjs|json)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    paths.map(async (path) => ({
      name: join('node_modules', relative(modules, path)),
      data: await readFile(path),
      stored: true,
    })),
  );
}

/** The zip of tests/support/apps/`name`, with `node` beside its files and `more`. */
export async function nodeAppZip(name: string, packages: readonly string[], more: ZipEntry[] = []): Promise<Buffer> {
  const node = { name: 'node', data: await readFile(process.execPath), mode: 0o100755, stored: true };
  const libraries = await Promise.all([...(await closure(packages))].map(packageFiles));
  return zipOf([...(await projectFiles(name)), ...more, node, ...libraries.flat()]);
}

// Programs of this machine with the libraries they need, as files for a Dockerfile project: images are built without a network.
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { ZipEntry } from './zip.ts';

/** The base image has these, and the loader must fit its libc. */
const inBase = /^(ld-linux|libc\.so|libm\.so|libdl\.so|libpthread\.so)/;

/** `DIRECTORY/bin/NAME` for each program, `DIRECTORY/lib/…` for its libraries. Fails when a program is not installed. */
export function hostPrograms(directory: string, programs: readonly string[]): ZipEntry[] {
  const files = new Map<string, string>();
  for (const program of programs) {
    files.set(`${directory}/bin/${basename(program)}`, program);
    // A static program makes ldd fail and needs none.
    for (const [, library = ''] of spawnSync('ldd', [program], { encoding: 'utf8' }).stdout.matchAll(/=> (\/\S+)/g))
      if (!inBase.test(basename(library))) files.set(`${directory}/lib/${basename(library)}`, library);
  }
  return [...files].map(([name, path]) => ({ name, data: readFileSync(path), mode: 0o100755 }));
}

/** Every file of a directory (not below it). */
export const hostFiles = (directory: string, from: string): ZipEntry[] =>
  readdirSync(from).map((name) => ({
    name: `${directory}/${name}`,
    data: readFileSync(join(from, name)),
    mode: 0o100755,
  }));

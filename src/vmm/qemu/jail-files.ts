// The files of the host that QEMU needs to start: itself, its libraries, its firmware. Looked up once; the jail of a VM shows nothing else.
import { lstat, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Fault } from '../../lib/errors.ts';
import { run } from '../../lib/process.ts';

/** What a jail's root is made of; all paths absolute and the same inside as outside. */
export interface JailFiles {
  /** Path and target. */
  links: [path: string, target: string][];
  directories: string[];
  files: string[];
}

/** Rejects with `missing_tool` when the program is not there. */
export async function jailFiles(binary: string): Promise<JailFiles> {
  const [libraries, firmware] = await Promise.all([librariesOf(binary), firmwareOf(binary)]);
  const wanted = [...new Set([...libraries.map((path) => dirname(path)), ...firmware])];
  const followed = await Promise.all(wanted.map(follow));
  const programs = await follow(dirname(binary));
  const links = new Map([...followed, programs].flatMap((one) => one.links));
  const real = [...new Set(followed.map((one) => one.path))].sort();
  const directories = real.filter((path) => !real.some((other) => path.startsWith(`${other}/`)));
  return { links: [...links], directories, files: [join(programs.path, basename(binary))] };
}

/** QEMU's modules lie below its libraries, so they need no mention. */
async function librariesOf(binary: string): Promise<string[]> {
  // What `ldd` does: the dynamic loader lists instead of running the program.
  const env = { LD_TRACE_LOADED_OBJECTS: '1' };
  const { stdout } = await run(binary, [], { env });
  const paths = stdout.split('\n').flatMap((line) => /(?:=> |^\s+)(\/\S+)/.exec(line)?.[1] ?? []);
  if (paths.length === 0) throw new Fault('internal', { what: `The libraries of ${binary} could not be listed.` });
  return paths;
}

async function firmwareOf(binary: string): Promise<string[]> {
  const { stdout } = await run(binary, ['-L', 'help']);
  const paths = stdout.split('\n').filter((line) => line.startsWith('/'));
  const found = await Promise.all(paths.map((path) => realpath(resolve(path)).catch(() => undefined)));
  return found.filter((path) => path !== undefined);
}

/** A directory without symbolic links in its path, and those that led there. */
async function follow(path: string): Promise<{ path: string; links: [string, string][] }> {
  const links: [string, string][] = [];
  let done = '/';
  let rest = path.split('/').filter(Boolean);
  for (let name = rest.shift(); name !== undefined; name = rest.shift()) {
    const next = join(done, name);
    if (!(await lstat(next)).isSymbolicLink()) {
      done = next;
      continue;
    }
    const target = await readlink(next);
    links.push([next, target]);
    rest = [...resolve(done, target).split('/').filter(Boolean), ...rest];
    done = '/';
  }
  return { path: done, links };
}

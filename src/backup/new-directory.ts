// Where a backup, or a data directory, is made: filled beside the name that it gets at its end, so that the name is there whole or not at all.
import { lstat, readdir, realpath, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeNewDirectory, moveIntoPlace, remove, removeDurably, syncPath, writeNew } from '../lib/durable-file.ts';
import { Fault, isFault } from '../lib/errors.ts';
import { hasCode, isMissing } from '../lib/read-file.ts';
import { unfinishedFile } from './data-directory.ts';

/** Directories, and what grows while it is copied. */
const spareBytes = 64 << 20;

export interface NewDirectory {
  /** Missing or empty, in a directory that exists, and not inside of `source`. */
  path: string;
  source: string;
  /** That will be in it. */
  bytes: number;
}

/**
 * Rejects with `conflict` or `not_found` when it cannot be made of that name, with `missing_right` or `capacity_exhausted` when not in that place. Nothing is made.
 */
export async function requirePlace({ path, source, bytes }: NewDirectory): Promise<void> {
  const parent = await realpath(dirname(path)).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
    return undefined;
  });
  if (parent === undefined || !(await stat(parent)).isDirectory()) {
    throw new Fault('not_found', { what: `There is no directory ${dirname(path)}. Make it first.` });
  }
  const from = await realpath(source);
  if (parent === from || parent.startsWith(`${from}/`)) {
    throw refused(path, `it is inside of ${source}, and would be lost together with that: name a directory elsewhere`);
  }
  const why = await whyTaken(path);
  if (why !== undefined) throw refused(path, why);
  const { bavail, bsize } = await statfs(parent);
  if (bavail * bsize >= bytes + spareBytes) return;
  const mib = (n: number): number => Math.ceil(n / 2 ** 20);
  const what = `${mib(bytes + spareBytes)} MiB are needed in ${parent}, and ${mib(bavail * bsize)} MiB are free there. Free some, or name a directory on another disk.`;
  throw new Fault('capacity_exhausted', { what });
}

/**
 * Makes `path` of what `fill` puts into the directory that it is given. Whatever fails, nothing is left. Rejects with `conflict` when somebody else is about it.
 */
export async function makeWhole<T>(path: string, fill: (aside: string) => Promise<T>): Promise<T> {
  const aside = `${path}.new`;
  await begin(path, aside);
  try {
    const unfinished = join(aside, unfinishedFile);
    // A crash leaves this: nobody takes the rest for the whole.
    await writeNew(unfinished, 'This copy was cut off, or is being made. Remove it when nothing works on it.\n');
    await syncPath(aside);
    const made = await fill(aside);
    await syncPath(aside);
    await removeDurably(unfinished);
    // An empty directory of this name gives way.
    await moveIntoPlace(aside, path);
    await syncPath(dirname(path));
    return made;
  } catch (error) {
    await remove(aside).catch(() => {});
    throw isFault(error) ? inFull(error) : error;
  }
}

/** There are two directories with files of the same names: the operator has to know in which one the disk is full. */
function inFull(fault: Fault): Fault {
  const { path } = fault.facts;
  const isOfDisk = fault.code === 'disk_full' || fault.code === 'disk_failed';
  return isOfDisk && path !== undefined ? new Fault(fault.code, { ...fault.facts, file: path }, fault) : fault;
}

async function begin(path: string, aside: string): Promise<void> {
  try {
    await makeNewDirectory(aside);
  } catch (error) {
    if (hasCode(error, 'EEXIST')) {
      throw refused(aside, 'another one is being made there, or was cut off: remove it if nothing works on it', error);
    }
    const code = isFault(error, 'disk_failed') ? error.facts.why : (error as NodeJS.ErrnoException).code;
    if (code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') throw error;
    const next = 'See who owns it, and whether its file system is writable.';
    throw new Fault('missing_right', { what: `Making ${path}`, right: `to write in ${dirname(path)} (${code})`, next });
  }
}

/** Why it cannot be of that name; a clause with what to do. */
async function whyTaken(path: string): Promise<string | undefined> {
  const found = await lstat(path).catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  });
  if (!found) return undefined;
  if (found.isSymbolicLink()) return 'it is a symbolic link: name the place itself';
  if (!found.isDirectory()) return 'it is a file: name another one';
  if ((await readdir(path)).length > 0) return 'it holds something already: name another one';
  // What is filled beside it would be on another disk, and a mounted directory cannot be replaced.
  if (found.dev !== (await stat(dirname(path))).dev) {
    return `a file system is mounted there: name a new directory in it, e.g. ${join(path, 'waterbear')}`;
  }
  return undefined;
}

const refused = (path: string, why: string, cause?: unknown): Fault =>
  new Fault('conflict', { what: `${path} cannot be used: ${why}.` }, cause);

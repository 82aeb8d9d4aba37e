// Directories of the cgroup file system: writing their files, ending what is in them, removing them once they are empty.
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pause } from '../../lib/deadline.ts';
import { Fault } from '../../lib/errors.ts';

const removeDeadlineMs = 10_000;
const retryMs = 20;

export const errorCode = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

/** Writes a file that the kernel made. */
export async function put(directory: string, file: string, value: string): Promise<void> {
  await writeFile(join(directory, file), value, { flag: 'r+' });
}

/** False when it was there already. */
export async function makeGroup(directory: string): Promise<boolean> {
  try {
    await mkdir(directory);
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

/** Names of the groups directly below; none when there is no such directory. */
export async function groupsIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

/** Removes a group. The processes in it may still be on their way out. Rejects with `deadline_exceeded`. */
export async function removeGroup(directory: string): Promise<void> {
  const end = performance.now() + removeDeadlineMs;
  for (;;) {
    try {
      return await rmdir(directory);
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return;
      if (errorCode(error) !== 'EBUSY') throw error;
    }
    if (performance.now() > end)
      throw new Fault('deadline_exceeded', { what: `Emptying ${directory}`, ms: removeDeadlineMs });
    await pause(retryMs);
  }
}

/** Ends everything in a group that an earlier server left, and removes it with the groups below it. */
export async function clearGroup(directory: string): Promise<void> {
  for (const name of await groupsIn(directory)) await clearGroup(join(directory, name));
  const members = await readFile(join(directory, 'cgroup.procs'), 'utf8').catch(() => '');
  for (const pid of members.split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch (error) {
      if (errorCode(error) !== 'ESRCH') throw error;
    }
  }
  await removeGroup(directory);
}

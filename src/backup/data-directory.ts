// What looks like a data directory and is none: a backup, and a copy that is not whole.
import { join } from 'node:path';
import { Fault } from '../lib/errors.ts';
import { exists } from '../lib/read-file.ts';

/** The list of all files of a backup, in the backup. */
export const backupListFile = 'backup.json';

/** In a backup or a data directory for as long as it is being filled. */
export const unfinishedFile = 'unfinished';

/** Rejects with `conflict` when a server must not work on this directory. One that is missing or empty is good. */
export async function refuseCopies(directory: string): Promise<void> {
  if (await exists(join(directory, unfinishedFile))) {
    const what = `${directory} is a backup or a restored directory that is not whole: making it was cut off. Remove it and make it again.`;
    throw new Fault('conflict', { what });
  }
  if (await exists(join(directory, backupListFile))) {
    const next = `waterbear restore ${directory} --data DIRECTORY`;
    throw new Fault('conflict', { what: `${directory} is a backup. Make a data directory of it first: ${next}` });
  }
}

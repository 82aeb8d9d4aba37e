// What looks like a data directory and is none: a backup, a copy that is not whole, and what is left of one without its database.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../lib/errors.ts';
import { exists, isMissing } from '../lib/read-file.ts';
import { wholeNames } from '../node/layout.ts';

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

/** Rejects with `database_damaged` when there are images or MicroVMs but no database: a new one would know none of them, and take them for nobody's. */
export async function refuseWithoutDatabase(directory: string): Promise<void> {
  const file = join(directory, 'waterbear.db');
  const size = await stat(file).then(
    (found) => found.size,
    (error: unknown) => {
      if (isMissing(error)) return undefined;
      throw error;
    },
  );
  if (size !== undefined && size > 0) return;
  const [images, microvms] = [await wholeNames(join(directory, 'images')), await wholeNames(join(directory, 'vms'))];
  if (images.length + microvms.length === 0) return;
  const why = `it is ${size === undefined ? 'missing' : 'empty'}, although ${images.length} images and ${microvms.length} MicroVMs are beside it`;
  throw new Fault('database_damaged', { file, why });
}

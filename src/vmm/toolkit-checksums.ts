// What set-up has written down about the files it made: a file `checksums` beside them, as sha256sum writes and checks it.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../lib/errors.ts';
import { sha256File } from '../lib/sha256-file.ts';

const maxLines = 100;

/** SHA-256 by file name; empty when there is no such list, as after the set-up of an earlier version. Rejects with `toolkit_damaged`. */
export async function toolkitChecksums(directory: string): Promise<ReadonlyMap<string, string>> {
  const file = join(directory, 'checksums');
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const lines = text.split('\n').filter((line) => line !== '');
  const entries = lines.slice(0, maxLines).map((line): [string, string] => {
    const [, sha256 = '', name = ''] = /^([0-9a-f]{64}) [ *]([A-Za-z0-9._-]{1,64})$/.exec(line) ?? [];
    if (name === '') throw new Fault('toolkit_damaged', { file, why: 'it is not a list of checksums' });
    return [name, sha256];
  });
  return new Map(entries);
}

/** Before a file is used. Rejects with `toolkit_damaged` naming it; one that the list does not have is taken as it is. */
export async function verifyToolkit(directory: string, names: readonly string[]): Promise<void> {
  const known = await toolkitChecksums(directory);
  for (const name of names) {
    const file = join(directory, name);
    const wanted = known.get(name);
    if (wanted === undefined || (await sha256File(file)) === wanted) continue;
    throw new Fault('toolkit_damaged', { file, why: 'its SHA-256 differs from what set-up has noted' });
  }
}

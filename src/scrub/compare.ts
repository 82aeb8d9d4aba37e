// One file and its record.
import { readFile } from 'node:fs/promises';
import type { Damage } from '../contract/integrity.ts';
import { describe, isFault } from '../lib/errors.ts';
import { isMissing } from '../lib/read-file.ts';
import { readSealed } from '../lib/sealed-json.ts';
import type { Reading } from './reading.ts';

export interface Finding {
  file: string;
  why: string;
}

/** With whom it concerns. */
export type Found = Omit<Damage, 'foundAtMs'>;

/** What is wrong with the file; undefined when nothing is. Rejects with `aborted` only. */
export async function compareFile(
  reading: Reading,
  file: string,
  record: { bytes?: number; sha256?: string | undefined; md5?: string | undefined },
  source: string,
): Promise<Finding | undefined> {
  const algorithm = record.sha256 === undefined ? 'md5' : 'sha256';
  const wanted = record.sha256 ?? record.md5;
  return unreadable(file, async () => {
    const { bytes, digest } = await reading.hash(file, algorithm);
    if (record.bytes !== undefined && bytes !== record.bytes) return `it has ${bytes} bytes instead of ${record.bytes}`;
    if (wanted === undefined || digest === wanted) return undefined;
    return `its ${algorithm === 'md5' ? 'MD5' : 'SHA-256'} differs from ${source}`;
  });
}

/**
 * A small file that carries its own checksum; one of an earlier version only has to be JSON. Where it is `required`, one that is missing is a finding.
 * `of`: members that it has where it belongs.
 */
export function compareSealed(
  reading: Reading,
  file: string,
  { required, of = {} }: { required: boolean; of?: Readonly<Record<string, string>> },
): Promise<Finding | undefined> {
  return unreadable(file, async () => {
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (isMissing(error) && !required) return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    reading.files += 1;
    await reading.took(text.length);
    const { json, isWhole } = readSealed(text);
    if (!isWhole) return 'its checksum does not fit';
    const record = JSON.parse(json) as Record<string, unknown> | null;
    const strange = Object.keys(of).find((name) => record?.[name] !== of[name]);
    return strange === undefined ? undefined : `its ${strange} is not that of its directory`;
  });
}

/** A finding for what should have been read and could not. */
export function unread(file: string, error: unknown): Finding {
  return { file, why: isMissing(error) ? 'it is missing' : `it cannot be read: ${describe(error)}` };
}

async function unreadable(file: string, look: () => Promise<string | undefined>): Promise<Finding | undefined> {
  try {
    const why = await look();
    return why === undefined ? undefined : { file, why };
  } catch (error) {
    if (isFault(error, 'aborted')) throw error;
    return unread(file, error);
  }
}

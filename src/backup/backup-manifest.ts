// What a backup holds: every file with its SHA-256, in a list that is written last and carries a checksum of itself.
import { join } from 'node:path';
import { z } from 'zod';
import { writeNew } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { readSmallFile } from '../lib/read-file.ts';
import { openSealed, sealJson } from '../lib/sealed-json.ts';
import { backupListFile } from './data-directory.ts';

const formatNumber = 1;
/** A million objects. */
const maxManifestBytes = 512 << 20;

/** Below the data directory; never out of it. */
const path = z
  .string()
  .max(1_000)
  .regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]*(\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/);

const file = z.object({
  path,
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const schema = z.object({
  format: z.literal(formatNumber),
  /** Of Waterbear. */
  version: z.string(),
  createdMs: z.number(),
  ledger: z.object({ count: z.number().int(), checksum: z.string() }),
  files: z.array(file),
});

export type BackupFile = z.output<typeof file>;
export type BackupManifest = z.output<typeof schema>;

/** Whether a file of this name, relative to the data directory, can be in a backup. */
export const canBeKept = (name: string): boolean => path.safeParse(name).success;

export const writeBackupManifest = (directory: string, manifest: Omit<BackupManifest, 'format'>): Promise<void> =>
  // What cannot be read again is not written.
  writeNew(join(directory, backupListFile), sealJson(schema.parse({ format: formatNumber, ...manifest })));

/** Rejects with `backup_damaged`, `newer_data`, or `not_found` when the directory is no backup. */
export async function readBackupManifest(directory: string): Promise<BackupManifest> {
  const at = join(directory, backupListFile);
  const text = await readSmallFile(at, maxManifestBytes);
  if (text === undefined) {
    const what = `${directory} is no backup: there is no ${backupListFile}, which is written last. One that was cut off cannot be restored.`;
    throw new Fault('not_found', { what });
  }
  const fault = (why: string, cause?: unknown): Fault => new Fault('backup_damaged', { file: at, why }, cause);
  try {
    const read = JSON.parse(openSealed(text)) as { format?: unknown };
    if (typeof read.format === 'number' && read.format > formatNumber) {
      throw new Fault('newer_data', { file: at, found: `format ${read.format}`, known: `format ${formatNumber}` });
    }
    return schema.parse(read);
  } catch (error) {
    throw error instanceof Fault ? error : fault('it is not what was written', error);
  }
}

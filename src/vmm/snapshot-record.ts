// What the manifest of an image or of a sleeping VM says about the files around it, whichever driver wrote it: for whoever reads, copies or
// compares them and loads nothing.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { Fault } from '../lib/errors.ts';
import { readSmallFile } from '../lib/read-file.ts';
import { openSealed } from '../lib/sealed-json.ts';

const maxManifestBytes = 1 << 20;

export const fileRecord = z.object({
  name: z.string().regex(/^[a-z0-9.-]{1,64}$/),
  bytes: z.number().int().nonnegative(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});

const schema = z.object({
  format: z.literal(1),
  kind: z.enum(['image', 'microvm']),
  base: z.string().optional(),
  createdMs: z.number().optional(),
  files: z.array(fileRecord).max(16),
  /** Absent where the driver does not name them. */
  layers: z.array(fileRecord).max(256).optional(),
});

export interface SnapshotRecord extends z.output<typeof schema> {
  /** SHA-256 of the manifest: what the snapshots of its VMs name as their base. */
  id: string;
}

export const manifestFile = (directory: string): string => join(directory, 'manifest.json');

/** `files` are in `directory`, `layers` in the disk directory of the VM. Rejects with `snapshot_corrupt` naming the manifest. */
export async function readSnapshotRecord(directory: string): Promise<SnapshotRecord> {
  const path = manifestFile(directory);
  try {
    const text = await readSmallFile(path, maxManifestBytes);
    if (text === undefined) throw new Error('it is missing');
    const id = createHash('sha256').update(text).digest('hex');
    return { ...schema.parse(JSON.parse(openSealed(text))), id };
  } catch (cause) {
    throw new Fault('snapshot_corrupt', { file: path, why: 'it is missing, or not what was written' }, cause);
  }
}

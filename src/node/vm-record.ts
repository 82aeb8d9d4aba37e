// What the host writes down about a MicroVM before it makes anything for it, so that a start after a crash knows what it finds.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { makeDirectory, remove, writeDurably } from '../lib/durable-file.ts';
import { isMissing, readSmallFile } from '../lib/read-file.ts';
import { readSealed, sealJson } from '../lib/sealed-json.ts';
import { newFreshness } from '../vmm/freshness.ts';
import { type NodeLayout, vmPaths } from './layout.ts';
import { isUnfinished } from './names.ts';

const schema = z.object({
  format: z.literal(1),
  microvmId: z.string(),
  buildId: z.string(),
  /** Whose turn it takes; records of earlier versions have none. */
  account: z.string().default(''),
  /** Highest generation of an order for it, as of its last sleep; while it runs the journal knows. */
  orderGeneration: z.number().int().nonnegative().default(0),
  identity: z.object({ machineId: z.string(), bootId: z.string(), hostname: z.string() }),
});

/** Far above what one has. */
const maxRecordBytes = 64 << 10;

export type VmRecord = z.infer<typeof schema>;

/** A new identity; it stays the same over all sleeps of the MicroVM. */
export function newRecord(microvmId: string, buildId: string, account: string, orderGeneration: number): VmRecord {
  return { format: 1, microvmId, buildId, account, orderGeneration, identity: newFreshness(microvmId) };
}

export async function writeRecord(layout: NodeLayout, record: VmRecord): Promise<void> {
  const paths = vmPaths(layout, record.microvmId);
  await makeDirectory(paths.disks);
  await writeDurably(paths.record, sealJson(record));
}

/** Undefined when there is none, or none that makes sense. One whose checksum does not fit is better than none: the scrubber names it. Rejects when the disk does not say. */
export async function readRecord(layout: NodeLayout, microvmId: string): Promise<VmRecord | undefined> {
  const text = await readSmallFile(vmPaths(layout, microvmId).record, maxRecordBytes);
  try {
    const record = schema.parse(JSON.parse(readSealed(text ?? '').json));
    return record.microvmId === microvmId ? record : undefined;
  } catch {
    return undefined;
  }
}

/** The newest whole snapshot's generation; 0 when it never slept. Rejects when the disk does not say. */
export async function newestGeneration(layout: NodeLayout, microvmId: string): Promise<number> {
  const names = await readdir(vmPaths(layout, microvmId).directory).catch((error: unknown) => {
    if (isMissing(error)) return [];
    throw error;
  });
  return Math.max(0, ...names.map((name) => Number(/^sleep-(\d+)$/.exec(name)?.[1] ?? 0)));
}

/** Whether there is nothing in its directory but what this host writes there before the record: one of another program is not ours to remove. Rejects when the disk does not say. */
export async function holdsNothingElse(layout: NodeLayout, microvmId: string): Promise<boolean> {
  const { directory, disks, record } = vmPaths(layout, microvmId);
  const isOurs = (name: string): boolean => isUnfinished(name) || [disks, record].includes(join(directory, name));
  try {
    return (await readdir(directory)).every(isOurs);
  } catch (error) {
    if (!isMissing(error)) throw error;
    // A link that leads nowhere now is somebody's, too.
    return !(await lstat(directory).catch(() => undefined));
  }
}

/** Those that a newer one has replaced, and half-made ones. */
export async function removeOlderSnapshots(layout: NodeLayout, microvmId: string, newest: number): Promise<void> {
  const { directory } = vmPaths(layout, microvmId);
  for (const name of await readdir(directory)) {
    const older = /^sleep-(\d+)$/.exec(name);
    if (isUnfinished(name) || (older && Number(older[1]) < newest)) {
      await remove(join(directory, name));
    }
  }
}

// What a server leaves for the next one beside each of its VMMs: `vmm.json` in the run directory, on the host's side, where the VMM cannot see it (its own root is
// mounted over the directory for it alone). It says nothing that holds after the host's next boot, so nothing here is synced.
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { fileRecord } from '../snapshot-record.ts';
import type { ProcessIdentity } from './process-identity.ts';

const recordName = 'vmm.json';
const maxRecordBytes = 1 << 20;

const restored = z.object({
  /** SHA-256 of the image's manifest. */
  image: z.string(),
  /** Of the image's memory file: `DEVICE:INODE`. */
  memory: z.string(),
  /** Disk layers of the VM itself: the one it writes, and those below, lowest first, as they were verified. */
  topLayer: z.string().optional(),
  lowerLayers: z.array(fileRecord).max(256),
});

const recordSchema = z.object({
  format: z.literal(1),
  bootId: z.string(),
  /** `running` once the guest is fresh and its application runs; before that there is nothing to take over. */
  phase: z.enum(['starting', 'running']),
  /** Absent until it was spawned. */
  process: z.object({ pid: z.number().int().positive(), startTicks: z.number().int().nonnegative() }).optional(),
  /** Name of its cgroup. */
  group: z
    .string()
    .regex(/^[\w.-]{1,255}$/)
    .optional(),
  /** Of a VM that was restored; others work for a build and end with it. */
  restored: restored.optional(),
});

export type VmmRecord = z.infer<typeof recordSchema>;
export type RestoredFacts = z.infer<typeof restored>;

/** One that describes a VM which can be taken over, if its process lives. */
export interface RunningRecord {
  process: ProcessIdentity;
  group: string;
  restored: RestoredFacts;
}

/** While a run directory is made or removed its name ends so: under its own it always holds a record. */
export const asideSuffix = '.aside';

/** Makes the run directory of a VM that is about to start. */
export async function openRunDirectory(runDirectory: string, bootId: string): Promise<void> {
  const aside = `${runDirectory}${asideSuffix}`;
  for (const path of [aside, runDirectory]) await rm(path, { recursive: true, force: true });
  await mkdir(aside, { recursive: true, mode: 0o700 });
  await writeVmmRecord(aside, { bootId, phase: 'starting' });
  await rename(aside, runDirectory);
}

/** Also when its record is damaged. */
export const isRunDirectory = (path: string): Promise<boolean> =>
  access(join(path, recordName)).then(
    () => true,
    () => false,
  );

export async function removeRunDirectory(runDirectory: string): Promise<void> {
  const aside = `${runDirectory}${asideSuffix}`;
  await rm(aside, { recursive: true, force: true });
  await rename(runDirectory, aside).catch(() => {});
  await rm(aside, { recursive: true, force: true });
}

export async function writeVmmRecord(runDirectory: string, record: Omit<VmmRecord, 'format'>): Promise<void> {
  const path = join(runDirectory, recordName);
  await writeFile(`${path}.new`, JSON.stringify({ format: 1, ...record }), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** Undefined when there is none that can be read. */
export async function readVmmRecord(runDirectory: string): Promise<VmmRecord | undefined> {
  const bytes = await readFile(join(runDirectory, recordName)).catch(() => undefined);
  return bytes && bytes.length <= maxRecordBytes ? parseVmmRecord(bytes.toString('utf8')) : undefined;
}

/** Undefined when the text is damaged, or of another version. */
export function parseVmmRecord(text: string): VmmRecord | undefined {
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** What can be taken over, by the record alone. */
export function runningRecord(record: VmmRecord | undefined, bootId: string): RunningRecord | undefined {
  if (record?.bootId !== bootId || record.phase !== 'running') return undefined;
  const { process, group, restored } = record;
  return process && group !== undefined && restored ? { process, group, restored } : undefined;
}

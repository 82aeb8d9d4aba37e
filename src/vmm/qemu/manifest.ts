// A snapshot is one unit: its files, and a manifest that is written last and says what they are and what can load them.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { syncPath, writeNew } from '../../lib/durable-file.ts';
import { Fault } from '../../lib/errors.ts';
import { openSealed, sealJson } from '../../lib/sealed-json.ts';
import { sha256File } from '../../lib/sha256-file.ts';
import { fileRecord } from '../snapshot-record.ts';

export const manifestName = 'manifest.json';
const formatNumber = 1;
/** Larger disk layers are not hashed on every load (it would cost more than the wake); their size is checked. */
const hashOnLoadBytes = 64 << 20;

export const engineRecord = z.object({
  driver: z.literal('qemu'),
  qemu: z.string(),
  accelerator: z.enum(['tcg', 'kvm']),
  machine: z.string(),
  /** Model name; under KVM also what the host's processor is. */
  cpu: z.string(),
  network: z.enum(['tap', 'none']),
});

const manifestSchema = z.object({
  format: z.literal(formatNumber),
  kind: z.enum(['image', 'microvm']),
  /** SHA-256 of the image's manifest; for kind `microvm`. */
  base: z.string().optional(),
  createdMs: z.number(),
  engine: engineRecord,
  /** Release of the guest kernel, version of the agent: for people. */
  guest: z.object({ kernel: z.string(), agent: z.string() }),
  memoryMib: z.number().int().positive(),
  vcpus: z.number().int().positive(),
  /** In this directory. */
  files: z.array(fileRecord).max(16),
  /** Disk layers of the VM itself, lowest first, in its disk directory; for kind `microvm`. */
  layers: z.array(fileRecord).max(256),
});

export type FileRecord = z.infer<typeof fileRecord>;
export type EngineRecord = z.infer<typeof engineRecord>;
export type Manifest = z.infer<typeof manifestSchema>;

export async function recordFile(directory: string, name: string, known?: { sha256: string }): Promise<FileRecord> {
  const path = join(directory, name);
  const { size } = await stat(path);
  return { name, bytes: size, sha256: known?.sha256 ?? (await sha256File(path)) };
}

/**
 * Writes the manifest into a directory that is still aside: what makes it a snapshot is that the caller renames it. Everything else in it must
 * be synced before.
 */
export async function writeManifest(directory: string, manifest: Omit<Manifest, 'format'>): Promise<void> {
  const path = join(directory, manifestName);
  await writeNew(path, sealJson({ format: formatNumber, ...manifest }, 1));
  await syncPath(directory);
}

/** Reads and validates. Rejects with `snapshot_corrupt` naming the file. */
export async function readManifest(directory: string): Promise<Manifest> {
  const file = join(directory, manifestName);
  try {
    return manifestSchema.parse(JSON.parse(openSealed(await readFile(file, 'utf8'))));
  } catch (cause) {
    throw new Fault('snapshot_corrupt', { file, why: 'it is missing, changed, or not a manifest of format 1' }, cause);
  }
}

/** The record of a file the manifest must have. */
export function fileOf(manifest: Manifest, directory: string, name: string): FileRecord {
  const record = manifest.files.find((file) => file.name === name);
  if (!record)
    throw new Fault('snapshot_corrupt', { file: join(directory, manifestName), why: `it does not list ${name}` });
  return record;
}

/** Checks size and, unless the file is a large disk layer, content. Rejects with `snapshot_corrupt` naming the file. */
export async function verifyFile(
  directory: string,
  record: FileRecord,
  options: { always: boolean; signal?: AbortSignal },
): Promise<void> {
  const file = join(directory, record.name);
  const corrupt = (why: string, cause?: unknown): Fault => new Fault('snapshot_corrupt', { file, why }, cause);
  const found = await stat(file).catch((cause: unknown) => {
    throw corrupt('it is missing', cause);
  });
  if (found.size !== record.bytes) throw corrupt(`it has ${found.size} bytes instead of ${record.bytes}`);
  if (!options.always && record.bytes > hashOnLoadBytes) return;
  if ((await sha256File(file, options.signal)) !== record.sha256)
    throw corrupt('its SHA-256 differs from the manifest');
}

/** Rejects with `snapshot_incompatible` when this host cannot load what `needed` describes. */
export function checkEngine(needed: EngineRecord, present: EngineRecord): void {
  const names = {
    accelerator: 'the accelerator',
    qemu: 'QEMU',
    machine: 'the machine',
    cpu: 'the CPU',
    network: 'the network',
  } as const;
  for (const key of Object.keys(names) as (keyof typeof names)[]) {
    if (needed[key] === present[key]) continue;
    throw new Fault('snapshot_incompatible', { what: names[key], needed: needed[key], present: present[key] });
  }
}

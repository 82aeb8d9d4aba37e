// A fake snapshot on disk keeps the rules of a real one: a state file with its checksum, a manifest written last, all or nothing.
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { freshDirectory, moveIntoPlace, remove, writeDurably } from '../../lib/durable-file.ts';
import { Fault } from '../../lib/errors.ts';
import { openSealed, sealJson } from '../../lib/sealed-json.ts';
import { type AppState, appStateSchema } from './app-state.ts';

export const stateName = 'state.json';
export const manifestName = 'manifest.json';
const limitBytes = 4 << 20;

const manifestSchema = z.object({
  format: z.literal(1),
  kind: z.enum(['image', 'microvm']),
  /** SHA-256 of the image's manifest; for kind `microvm`. */
  base: z.string().optional(),
  engine: z.object({ driver: z.string() }),
  memoryMib: z.number().int().positive(),
  vcpus: z.number().int().positive(),
  files: z.array(z.object({ name: z.literal(stateName), bytes: z.number().int(), sha256: z.string() })).length(1),
});

type Kind = z.infer<typeof manifestSchema>['kind'];

export interface Snapshot {
  state: AppState;
  memoryMib: number;
  vcpus: number;
  /** SHA-256 of the manifest. */
  id: string;
}

export type Content = Omit<Snapshot, 'id'>;

/** Completes an image in an existing directory. Returns the bytes of the state. */
export function writeImage(directory: string, content: Content): Promise<number> {
  return write(directory, 'image', content, undefined);
}

/** Makes `directory`, or nothing. Returns its bytes. */
export async function writeSnapshot(directory: string, content: Content, base: string): Promise<number> {
  const aside = join(dirname(directory), `.${basename(directory)}.new`);
  try {
    await freshDirectory(aside);
    const stateBytes = await write(aside, 'microvm', content, base);
    const manifest = await stat(join(aside, manifestName));
    await moveIntoPlace(aside, directory);
    return stateBytes + manifest.size;
  } catch (error) {
    await remove(aside).catch(() => {});
    throw error;
  }
}

/** Rejects with `snapshot_corrupt` naming the file, or `snapshot_incompatible`. `base` is the image it must belong to. */
export async function readSnapshot(directory: string, kind: Kind, base?: string): Promise<Snapshot> {
  const manifestFile = join(directory, manifestName);
  const text = await readLimited(manifestFile);
  const manifest = parse(manifestFile, text, manifestHead.pipe(manifestSchema), openSealed);
  if (manifest.kind !== kind) throw corrupt(manifestFile, `it describes a ${manifest.kind}`);
  if (manifest.base !== base) throw corrupt(manifestFile, 'it belongs to another image');
  const file = join(directory, stateName);
  const stateText = await readLimited(file);
  const [record] = manifest.files;
  const bytes = Buffer.byteLength(stateText);
  if (bytes !== record?.bytes) throw corrupt(file, `it has ${bytes} bytes instead of ${record?.bytes}`);
  if (sha256(stateText) !== record.sha256) throw corrupt(file, 'its SHA-256 differs from the manifest');
  const { memoryMib, vcpus } = manifest;
  return { state: parse(file, stateText, appStateSchema), memoryMib, vcpus, id: sha256(text) };
}

/** A snapshot of another driver is sound, but not for this one. */
const manifestHead = z.looseObject({ engine: z.looseObject({ driver: z.string() }) }).transform((head) => {
  if (head.engine.driver === 'fake') return head;
  throw new Fault('snapshot_incompatible', { what: 'the driver', needed: head.engine.driver, present: 'fake' });
});

async function write(directory: string, kind: Kind, content: Content, base: string | undefined): Promise<number> {
  const { state, memoryMib, vcpus } = content;
  const text = JSON.stringify(state);
  const bytes = Buffer.byteLength(text);
  await writeDurably(join(directory, stateName), text);
  const files = [{ name: stateName, bytes, sha256: sha256(text) }];
  const manifest = { format: 1, kind, base, engine: { driver: 'fake' }, memoryMib, vcpus, files };
  await writeDurably(join(directory, manifestName), sealJson(manifest, 1));
  return bytes;
}

async function readLimited(file: string): Promise<string> {
  try {
    const { size } = await stat(file);
    if (size > limitBytes) throw corrupt(file, 'it is too large');
    return await readFile(file, 'utf8');
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw corrupt(file, 'it is missing', cause);
  }
}

function parse<T>(file: string, text: string, schema: z.ZodType<T>, open = (sealed: string) => sealed): T {
  try {
    return schema.parse(JSON.parse(open(text)));
  } catch (cause) {
    if (cause instanceof Fault) throw cause;
    throw corrupt(file, 'it is not what this version writes', cause);
  }
}

const corrupt = (file: string, why: string, cause?: unknown): Fault =>
  new Fault('snapshot_corrupt', { file, why }, cause);

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

// What of a data directory belongs into a backup, and how each kind of it is taken while a server may be changing it.
import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { describe, Fault, isFault } from '../lib/errors.ts';
import { exists, isMissing } from '../lib/read-file.ts';
import { nodeLayout, vmPaths, wholeNames } from '../node/layout.ts';
import { newestGeneration } from '../node/vm-record.ts';
import { bucketRecords, objectRecords, readKeptObject } from '../objects/kept-objects.ts';
import { manifestFile, readSnapshotRecord, type SnapshotRecord } from '../vmm/snapshot-record.ts';
import { canBeKept } from './backup-manifest.ts';
import type { Copying } from './copying.ts';

const attempts = 5;

/** What could not be taken, and why; a sentence for people. */
export type Note = (what: string) => void;

/** Files that are replaced as a whole, or only grow. `lock`, `server.json` and `scrub.json` are of one server; build caches and fetched archives are made again. */
async function plainFiles(data: string): Promise<string[]> {
  const found: string[] = [];
  for (const directory of ['keys', 'logs']) {
    const entries = await unlessGone(() => readdir(join(data, directory), { withFileTypes: true }));
    found.push(...(entries ?? []).filter((entry) => entry.isFile()).map(({ name }) => join(directory, name)));
  }
  return found.filter((path) => !path.endsWith('.new'));
}

export async function copyPlainFiles(copying: Copying, data: string, note: Note): Promise<void> {
  for (const path of await plainFiles(data)) {
    if (canBeKept(path)) await unlessGone(() => copying.copy(path));
    else note(`${path}: no file of Waterbear has such a name.`);
  }
}

export async function copyObjects(copying: Copying, data: string, note: Note): Promise<void> {
  const directory = join(data, 'objects');
  for (const record of await bucketRecords(directory)) await unlessGone(() => copying.copy(relative(data, record)));
  const unread = (at: string, error: unknown): void => note(`${relative(data, at)} cannot be read: ${describe(error)}`);
  for await (const record of objectRecords(directory, unread)) {
    await copyObject(copying, data, record).catch((error: unknown) => {
      if (!isDamage(error)) throw error;
      note(`${relative(data, record)}: ${error.message}`);
    });
  }
}

/** The record as it was read, and the bytes that it names; when those are gone, there is a newer record. */
async function copyObject(copying: Copying, data: string, record: string): Promise<void> {
  const path = relative(data, record);
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const kept = await readKeptObject(record);
    if (!kept) return;
    const bytes = relative(data, kept.data);
    const taken = copying.files.has(bytes) || (await unlessGone(() => copying.copy(bytes)));
    const text = taken && (await unlessGone(() => readFile(record, 'utf8')));
    if (!text) continue;
    // Only a record that names what was copied.
    if (!text.includes(JSON.stringify(bytes.slice(dirname(bytes).length + 1)))) {
      await copying.drop(bytes);
      continue;
    }
    await copying.write(path, text);
    return;
  }
  throw new Fault('conflict', { what: 'It changed again and again while it was copied.' });
}

/** Resolves with whether it is in the copy now. */
export async function copyImage(copying: Copying, data: string, buildId: string, note: Note): Promise<boolean> {
  const path = join('images', buildId);
  if (copying.files.has(join(path, 'manifest.json'))) return true;
  try {
    const record = await readSnapshotRecord(join(data, path));
    for (const { name, sha256 } of record.files) await verified(copying, join(path, name), sha256);
    await copying.copy(join(path, 'image.json'));
    await copying.copy(manifestFile(path));
    return true;
  } catch (error) {
    await copying.drop(path);
    if (await exists(join(data, path))) {
      if (!isDamage(error) && !isMissing(error)) throw error;
      note(`Image of build ${buildId}: ${(error as Error).message}`);
    }
    return false;
  }
}

/** The newest whole snapshot. Resolves with when it was taken; undefined when there is none, or no good one. */
export async function copySleeper(
  copying: Copying,
  data: string,
  microvmId: string,
  note: Note,
): Promise<number | undefined> {
  const layout = nodeLayout(data, '');
  const paths = vmPaths(layout, microvmId);
  const below = (path: string): string => relative(data, path);
  for (let attempt = 1; ; attempt++) {
    const generation = await newestGeneration(layout, microvmId);
    if (generation === 0) return undefined;
    const snapshot = paths.snapshot(generation);
    try {
      const record = await readSnapshotRecord(snapshot);
      if (copying.files.has(below(manifestFile(snapshot)))) return await takenMs(record, snapshot);
      await copying.drop(below(paths.directory));
      for (const { name, sha256 } of record.layers ?? [])
        await verified(copying, below(join(paths.disks, name)), sha256);
      for (const { name, sha256 } of record.files) await verified(copying, below(join(snapshot, name)), sha256);
      await copying.copy(below(paths.record));
      await copying.copy(below(manifestFile(snapshot)));
      return await takenMs(record, snapshot);
    } catch (error) {
      await copying.drop(below(paths.directory));
      if ((await newestGeneration(layout, microvmId)) !== generation && attempt < attempts) continue;
      if (!isDamage(error) && !isMissing(error)) throw error;
      if (await exists(paths.directory)) note(`MicroVM ${microvmId}: ${(error as Error).message}`);
      return undefined;
    }
  }
}

/** Takes out what was copied of images and MicroVMs that are gone. */
export async function dropGone(copying: Copying, data: string): Promise<void> {
  for (const directory of ['images', 'vms']) {
    const present = new Set(await wholeNames(join(data, directory)));
    const copied = [...copying.files.keys()].flatMap((path) => {
      const [first, id = ''] = path.split('/');
      return first === directory ? [id] : [];
    });
    for (const id of new Set(copied)) if (!present.has(id)) await copying.drop(join(directory, id));
  }
}

export const sleeperIds = (data: string): Promise<string[]> => wholeNames(join(data, 'vms'));
export const imageIds = (data: string): Promise<string[]> => wholeNames(join(data, 'images'));

async function takenMs({ createdMs }: SnapshotRecord, snapshot: string): Promise<number> {
  return createdMs ?? Math.round((await stat(manifestFile(snapshot))).mtimeMs);
}

/** Copies, and compares the copy with what the manifest says. Rejects with `snapshot_corrupt` naming the file. */
async function verified(copying: Copying, path: string, sha256: string): Promise<void> {
  const copied = await copying.copy(path);
  if (copied.sha256 === sha256) return;
  throw new Fault('snapshot_corrupt', { file: path, why: 'its SHA-256 differs from the manifest' });
}

/** What concerns one thing alone: the others are taken all the same. */
const isDamage = (error: unknown): error is Fault =>
  isFault(error) && !isFault(error, 'disk_full') && !isFault(error, 'aborted');

async function unlessGone<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Bytes of everything that would be copied now. */
export async function keptBytes(data: string): Promise<number> {
  let sum = await sizeOf(join(data, 'waterbear.db'));
  for (const path of await plainFiles(data)) sum += await sizeOf(join(data, path));
  for (const directory of ['images', 'vms', join('objects', 'buckets')]) {
    const names = await readdir(join(data, directory), { recursive: true, withFileTypes: true }).catch(() => []);
    for (const entry of names) if (entry.isFile()) sum += await sizeOf(join(entry.parentPath, entry.name));
  }
  return sum;
}

const sizeOf = (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

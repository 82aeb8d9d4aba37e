// Stand-ins for the disk layers of a real VM: one small file for each time it ran, so that whoever owns the directory has something to
// count, merge and clean up.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createFile, makeDirectory, remove } from '../../lib/durable-file.ts';
import { Fault } from '../../lib/errors.ts';
import type { CompactOrder } from '../driver.ts';
import { readSnapshot, writeSnapshot } from './snapshot-files.ts';

const layerName = /^layer-(\d{1,9})\.fake$/;

export async function addLayer(disks: string): Promise<void> {
  await makeDirectory(disks);
  const next = Math.max(0, ...(await layers(disks))) + 1;
  const file = await createFile(path(disks, next));
  await file.append([Buffer.from('disk layer\n')]).finally(() => file.close());
}

/** Keeps the newest layer only, once the new snapshot is durable. */
export async function compactLayers({ image, snapshot, disks, target, from, signal }: CompactOrder): Promise<boolean> {
  const present = await layers(disks);
  if (present.length < from || present.length < 2) return false;
  const { id } = await readSnapshot(image, 'image');
  const content = await readSnapshot(snapshot, 'microvm', id);
  if (signal.aborted) throw new Fault('aborted', { what: 'Merging disk layers' });
  await writeSnapshot(target, content, id);
  const newest = Math.max(...present);
  await Promise.all(present.filter((layer) => layer !== newest).map((layer) => remove(path(disks, layer))));
  return true;
}

async function layers(disks: string): Promise<number[]> {
  const names = await readdir(disks).catch(() => []);
  return names.flatMap((name) => {
    const number = layerName.exec(name)?.[1];
    return number ? [Number(number)] : [];
  });
}

const path = (disks: string, layer: number): string => join(disks, `layer-${layer}.fake`);

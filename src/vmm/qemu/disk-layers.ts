// The disk of a VM: a chain of copy-on-write layers, lowest first. Root disk ← what initialization wrote ← one layer per waking time.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { copyUnsynced, reclaim, remove } from '../../lib/durable-file.ts';
import { run } from '../../lib/process.ts';

export const imageLayers = { root: 'root.qcow2', init: 'init.qcow2', empty: 'empty.qcow2' } as const;

const convertDeadlineMs = 15 * 60_000;

/** Packs the raw root disk into the image and makes its initialization layer and the template of empty layers. */
export async function createImageLayers(rawDisk: string, image: string): Promise<void> {
  const root = join(image, imageLayers.root);
  await run('qemu-img', ['convert', '-q', '-f', 'raw', '-O', 'qcow2', rawDisk, root], { timeoutMs: convertDeadlineMs });
  const { stdout } = await run('qemu-img', ['info', '--output=json', '-f', 'raw', rawDisk]);
  const size = String((JSON.parse(stdout) as { 'virtual-size': number })['virtual-size']);
  // No backing file is written into the headers: the chain is always given explicitly when a VM starts.
  for (const name of [imageLayers.init, imageLayers.empty]) {
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', join(image, name), size]);
  }
  // Ours alone from the start, whatever the umask.
  for (const name of Object.values(imageLayers)) await reclaim(join(image, name));
}

/** An empty layer in `directory` above a raw disk that stays as it is. Resolves with its path. */
export async function createThrowawayLayer(rawDisk: string, directory: string): Promise<string> {
  const path = join(directory, 'root.qcow2');
  const { size } = await stat(rawDisk);
  await run('qemu-img', ['create', '-q', '-f', 'qcow2', path, String(size)]);
  return path;
}

/** Name of the layer above `existing` ones. */
export const nextLayerName = (existing: readonly string[]): string => {
  const last = existing.at(-1)?.match(/\d+/)?.[0] ?? '0';
  return `layer-${Number(last) + 1}.qcow2`;
};

/** A new, empty layer in `disks`; an unreferenced one of the same name, left by a crash, is replaced. */
export async function createLayer(image: string, disks: string, name: string): Promise<string> {
  const path = join(disks, name);
  await remove(path);
  await copyUnsynced(join(image, imageLayers.empty), path);
  return path;
}

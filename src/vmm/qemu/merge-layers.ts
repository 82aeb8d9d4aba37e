// A VM that woke often has many disk layers. While it sleeps they become one: into a new file, never in place, so that the snapshot
// stays good until the new one is whole, and a wake can stop the work at any time.
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { copyUnsynced, freshDirectory, moveIntoPlace, remove, syncPath } from '../../lib/durable-file.ts';
import { run } from '../../lib/process.ts';
import type { CompactOrder } from '../driver.ts';
import { imageLayers, nextLayerName } from './disk-layers.ts';
import { type Manifest, readManifest, recordFile, verifyFile, writeManifest } from './manifest.ts';

const mergeDeadlineMs = 30 * 60_000;

/** The `json:` name of a chain, lowest first, with every format and backing file explicit. */
function chainName(paths: readonly string[]): string {
  const node = paths.reduce<object | null>(
    (backing, filename) => ({ driver: 'qcow2', file: { driver: 'file', filename }, backing }),
    null,
  );
  return `json:${JSON.stringify(node)}`;
}

/** Makes a snapshot at `order.target` with one layer instead of many. False when there are fewer than `order.from` layers. */
export async function mergeLayers(order: CompactOrder): Promise<boolean> {
  const manifest = await readManifest(order.snapshot);
  if (manifest.layers.length < order.from) return false;
  const names = manifest.layers.map((layer) => layer.name);
  const merged = nextLayerName(names);
  const aside = join(dirname(order.target), `.${basename(order.target)}.new`);
  try {
    // What is damaged must not get a checksum that fits.
    const { signal } = order;
    for (const layer of manifest.layers) await verifyFile(order.disks, layer, { always: true, signal });
    await mergeInto(order, names, merged);
    await commit(order, manifest, merged, aside);
  } catch (error) {
    for (const path of [join(order.disks, merged), aside]) await remove(path).catch(() => {});
    throw error;
  }
  // The new snapshot stands: what cannot be removed now is only space, and goes with the next merge.
  const obsolete = (await readdir(order.disks).catch(() => [])).filter((name) => name !== merged);
  for (const name of obsolete) await remove(join(order.disks, name)).catch(() => {});
  return true;
}

async function mergeInto(order: CompactOrder, names: string[], merged: string): Promise<void> {
  const [lowest, ...upper] = names.map((name) => join(order.disks, name));
  const target = join(order.disks, merged);
  const below = [imageLayers.root, imageLayers.init].map((name) => join(order.image, name));
  if (lowest) await copyUnsynced(lowest, target);
  for (const path of upper) {
    // `-d`: the layer itself is left as it is.
    const args = ['commit', '-q', '-d', chainName([...below, target, path])];
    await run('qemu-img', args, { timeoutMs: mergeDeadlineMs, signal: order.signal });
  }
  await syncPath(target);
  await syncPath(order.disks);
}

async function commit(order: CompactOrder, manifest: Manifest, merged: string, aside: string): Promise<void> {
  await freshDirectory(aside);
  for (const file of manifest.files) {
    await copyUnsynced(join(order.snapshot, file.name), join(aside, file.name));
    await syncPath(join(aside, file.name));
  }
  const { format: _, ...rest } = manifest;
  await writeManifest(aside, { ...rest, layers: [await recordFile(order.disks, merged)] });
  order.signal.throwIfAborted();
  await moveIntoPlace(aside, order.target);
}

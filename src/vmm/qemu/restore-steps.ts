// The steps from an image, or a sleeping VM's snapshot, to a VM that runs. Their order matters and is the driver's.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { within } from '../../lib/deadline.ts';
import { makeDirectory } from '../../lib/durable-file.ts';
import { Fault } from '../../lib/errors.ts';
import type { Stopwatch } from '../../lib/stopwatch.ts';
import type { RestoreOrder } from '../driver.ts';
import type { GuestClient } from '../guest-client.ts';
import { createLayer, imageLayers, nextLayerName } from './disk-layers.ts';
import { imageFiles, type LoadedImage } from './image-cache.ts';
import { checkEngine, type EngineRecord, fileOf, type Manifest, readManifest, verifyFile } from './manifest.ts';
import { pageBytes, readPageRuns } from './page-runs.ts';
import { openMapping } from './process-memory.ts';
import type { VmmProcess } from './vmm-process.ts';

const restoreDeadlineMs = 60_000;

export interface OpenSnapshot {
  directory: string;
  manifest: Manifest;
  statePath: string;
}

/** Reads a sleeping VM's manifest and checks that this host and this image fit it. */
export async function openSnapshot(
  directory: string,
  image: LoadedImage,
  engine: (network: EngineRecord['network']) => EngineRecord,
): Promise<OpenSnapshot> {
  const manifest = await readManifest(directory);
  checkEngine(manifest.engine, engine(manifest.engine.network));
  if (manifest.base !== image.id) {
    throw new Fault('snapshot_corrupt', { file: join(directory, 'manifest.json'), why: 'it belongs to another image' });
  }
  return { directory, manifest, statePath: join(directory, imageFiles.state) };
}

/** Checks the content of device state and disk layers. Memory is verified while it is applied. */
export async function verifySnapshot({ directory, manifest }: OpenSnapshot, disks: string): Promise<void> {
  await Promise.all([
    verifyFile(directory, fileOf(manifest, directory, imageFiles.state), { always: true }),
    ...manifest.layers.map((layer) => verifyFile(disks, layer, { always: false })),
  ]);
}

/**
 * Starts the VMM while the snapshot is verified: nothing of it is loaded before. When both fail, the damage is what the caller hears of,
 * for it is the likely reason of the other.
 */
export async function startVerified(
  start: () => Promise<VmmProcess>,
  verify: () => Promise<void>,
): Promise<VmmProcess> {
  const verified = verify();
  verified.catch(() => {});
  const process = await start().catch(async (error: unknown) => {
    await verified;
    throw error;
  });
  try {
    await verified;
    return process;
  } catch (error) {
    await process.kill();
    throw error;
  }
}

/** The chain of a VM about to run: the sleeping layers stay as they are, a new one on top takes what it writes. */
export async function addLayer(image: LoadedImage, disks: string, lower: Manifest['layers']) {
  if (!image.manifest.files.some((file) => file.name === imageLayers.root)) return { layers: [], name: undefined };
  await makeDirectory(disks);
  const name = nextLayerName(lower.map((layer) => layer.name));
  const path = await createLayer(image.directory, disks, name);
  const below = [
    join(image.directory, imageLayers.root),
    join(image.directory, imageLayers.init),
    ...lower.map((layer) => join(disks, layer.name)),
  ];
  return { layers: [...below.map((file) => ({ path: file, writable: false })), { path, writable: true }], name };
}

/** Must come before the device state: virtio reads its rings from guest memory while it is loaded. */
export async function applyDelta(process: VmmProcess, image: LoadedImage, snapshot: OpenSnapshot): Promise<void> {
  const { name, bytes } = image.memory;
  const record = fileOf(snapshot.manifest, snapshot.directory, imageFiles.memory);
  const mapping = await openMapping(process.pid, name, bytes);
  try {
    const expected = { totalPages: bytes / pageBytes, sha256: record.sha256 };
    await readPageRuns(join(snapshot.directory, imageFiles.memory), expected, (run) => mapping.write(run));
  } finally {
    mapping.close();
  }
}

export async function loadState(process: VmmProcess, stopwatch: Stopwatch): Promise<void> {
  const loaded = new Promise<void>((resolve, reject) => {
    process.qmp.on('event', (name, data) => {
      if (name !== 'MIGRATION') return;
      const { status } = data as { status?: string };
      if (status === 'completed') resolve();
      if (status === 'failed') reject(new Fault('vmm_failed', { what: 'could not load the device state' }));
    });
    void process.exited.then(({ errors }) =>
      reject(new Fault('vmm_failed', { what: `ended while loading: ${errors.trim()}` })),
    );
  });
  loaded.catch(() => {});
  await process.qmp.execute('migrate-set-capabilities', { capabilities: [{ capability: 'events', state: true }] });
  await process.qmp.execute('migrate-incoming', { uri: 'fd:4' });
  await within(restoreDeadlineMs, 'Loading the device state', loaded);
  stopwatch.lap('load');
}

export async function freshen(
  process: VmmProcess,
  guest: GuestClient,
  order: RestoreOrder,
  clock: Clock,
): Promise<string[]> {
  // The question waits in the port when the guest starts to run.
  const answer = guest.freshen(order.freshness, BigInt(clock.now()) * 1_000_000n, randomBytes(64), restoreDeadlineMs);
  answer.catch(() => {});
  await process.qmp.execute('cont');
  return answer;
}

// Boots and restores VMs under QEMU. The mechanism and its reasons: docs/architecture.md, "How a VM is made".
import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { within } from '../../lib/deadline.ts';
import { describe, Fault, isFault } from '../../lib/errors.ts';
import { type Stopwatch, startStopwatch } from '../../lib/stopwatch.ts';
import type { Accelerator, BootOrder, CompactOrder, Driver, Machine, RestoreOrder } from '../driver.ts';
import { GuestClient } from '../guest-client.ts';
import { createImageLayers, createLayer, imageLayers, nextLayerName } from './disk-layers.ts';
import { type ChosenAccelerator, chooseAccelerator, describeEngine, qemuBinary } from './host-engine.ts';
import { ImageCache, imageFiles, type LoadedImage } from './image-cache.ts';
import { checkEngine, type EngineRecord, fileOf, type Manifest, readManifest, verifyFile } from './manifest.ts';
import { createMemoryFile } from './memfd.ts';
import { mergeLayers } from './merge-layers.ts';
import { pageBytes, readPageRuns } from './page-runs.ts';
import { openMapping } from './process-memory.ts';
import { type MachineParts, QemuMachine } from './qemu-machine.ts';
import { imageSaver, suspendSaver } from './savers.ts';
import { startVmm, type VmmProcess } from './vmm-process.ts';

export interface QemuDriverOptions {
  accelerator: Accelerator | 'auto';
  /** Guest kernel, initramfs and its release, as set-up makes them. */
  guestDirectory: string;
  /** `launch` and `seal`, as set-up makes them. */
  toolDirectory: string;
  clock: Clock;
  /** Images kept loaded while nothing uses them. */
  idleImages?: number;
  /** How long a cold boot may take until the agent answers. */
  bootDeadlineMs?: number;
}

const kernelArguments = 'console=ttyS0 quiet panic=-1 tsc=reliable';
const restoreDeadlineMs = 60_000;
const consoleCharacters = 2_000;

export async function createQemuDriver(options: QemuDriverOptions): Promise<Driver> {
  const chosen = await chooseAccelerator(options.accelerator);
  const engine = await describeEngine(chosen.accelerator);
  return new QemuDriver(options, chosen, engine);
}

class QemuDriver implements Driver {
  readonly name = 'qemu';
  readonly accelerator: Accelerator;
  readonly #kvmGroup: number | undefined;
  readonly #options: QemuDriverOptions;
  readonly #engine: (network: EngineRecord['network']) => EngineRecord;
  readonly #images: ImageCache;

  constructor(
    options: QemuDriverOptions,
    chosen: ChosenAccelerator,
    engine: (network: EngineRecord['network']) => EngineRecord,
  ) {
    this.#options = options;
    this.accelerator = chosen.accelerator;
    this.#kvmGroup = chosen.kvmGroup;
    this.#engine = engine;
    this.#images = new ImageCache(join(options.toolDirectory, 'seal'), engine, options.idleImages ?? 4);
  }

  async boot(order: BootOrder): Promise<Machine> {
    const { guestDirectory, toolDirectory } = this.#options;
    const stopwatch = startStopwatch();
    const { memoryMib, vcpus } = order.size;
    if (order.rootDisk) await createImageLayers(order.rootDisk, order.image);
    stopwatch.lap('disk');
    const memory = await createMemoryFile(join(toolDirectory, 'seal'), 'wb-boot', memoryMib * 1024 * 1024, {
      sealed: false,
    });
    const { root, init } = imageLayers;
    const layers = order.rootDisk
      ? [
          { path: join(order.image, root), writable: false },
          { path: join(order.image, init), writable: true },
        ]
      : [];
    const kernel = {
      image: join(guestDirectory, 'vmlinuz'),
      initramfs: join(guestDirectory, 'initramfs'),
      arguments: kernelArguments,
    };
    let process: VmmProcess | undefined;
    const release = async (): Promise<void> => {
      memory.close();
      await this.#tidy(order.runDirectory);
    };
    try {
      const plan = { ...this.#plan(order), size: order.size, kernel, layers, memoryFd: memory.fd, shareMemory: true };
      process = await startVmm(plan, order.signal);
      stopwatch.lap('spawn');
      const guest = new GuestClient(process.control, order.wire);
      await process.qmp.execute('cont');
      const hello = await guest.hello(this.#options.bootDeadlineMs ?? 120_000);
      stopwatch.lap('boot');
      const engine = this.#engine(order.wire ? 'tap' : 'none');
      const { image: directory, runDirectory } = order;
      const saver = (): ReturnType<typeof imageSaver> =>
        imageSaver({
          directory,
          runDirectory,
          memory,
          engine,
          guest: hello,
          memoryMib,
          vcpus,
          hasDisk: Boolean(order.rootDisk),
        });
      const parts = { process, guest, stages: stopwatch.stages(), repaired: [], onConsole: order.onConsole };
      return new QemuMachine({
        ...parts,
        imageSaver: saver,
        suspendSaver: undefined,
        release,
      });
    } catch (error) {
      const said = consoleOf(process);
      await process?.kill();
      await release();
      if (!said || !isFault(error, 'guest_failed', 'deadline_exceeded')) throw error;
      throw new Fault('guest_failed', { what: `did not boot (${describe(error)}). Its console:\n${said}` }, error);
    }
  }

  async restore(order: RestoreOrder): Promise<Machine> {
    const stopwatch = startStopwatch();
    const lease = await this.#images.acquire(order.image);
    let process: VmmProcess | undefined;
    const release = async (): Promise<void> => {
      lease.release();
      await this.#tidy(order.runDirectory);
    };
    try {
      const { image } = lease;
      const snapshot = order.snapshot
        ? await openSnapshot(order.snapshot, order.disks, image, this.#engine)
        : undefined;
      const top = await addLayer(image, order.disks, snapshot?.manifest.layers ?? []);
      stopwatch.lap('prepare');
      const { memoryMib, vcpus } = image.manifest;
      const statePath = snapshot?.statePath ?? image.statePath;
      const plan = {
        ...this.#plan(order),
        size: { memoryMib, vcpus },
        layers: top.layers,
        memoryFd: image.memory.fd,
        shareMemory: false,
        statePath,
      };
      process = await startVmm(plan, order.signal);
      stopwatch.lap('spawn');
      if (snapshot) await applyDelta(process, image, snapshot);
      stopwatch.lap('memory');
      const guest = new GuestClient(process.control, order.wire);
      await loadState(process, stopwatch);
      const repaired = await freshen(process, guest, order, this.#options.clock);
      stopwatch.lap('freshen');
      const saver = (directory: string): ReturnType<typeof suspendSaver> => {
        const { runDirectory, disks } = order;
        return suspendSaver({
          directory,
          runDirectory,
          disks,
          image,
          lowerLayers: snapshot?.manifest.layers ?? [],
          topLayer: top.name,
        });
      };
      const parts: MachineParts = {
        process,
        guest,
        stages: stopwatch.stages(),
        repaired,
        onConsole: order.onConsole,
        imageSaver: undefined,
        suspendSaver: saver,
        release,
      };
      return new QemuMachine(parts);
    } catch (error) {
      await process?.kill();
      await release();
      throw error;
    }
  }

  async preload(image: string): Promise<void> {
    (await this.#images.acquire(image)).release();
  }

  compact(order: CompactOrder): Promise<boolean> {
    return mergeLayers(order);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#images.close();
  }

  #plan(order: BootOrder | RestoreOrder) {
    const { runDirectory, wire } = order;
    const launcher = join(this.#options.toolDirectory, 'launch');
    // Group 0 needs no mention: the device is then open to everyone.
    const kvmGroup = this.#kvmGroup ? { kvmGroup: this.#kvmGroup } : {};
    return {
      binary: qemuBinary,
      launcher,
      accelerator: this.accelerator,
      runDirectory,
      ...kvmGroup,
      ...(wire ? { wire } : {}),
    };
  }

  async #tidy(runDirectory: string): Promise<void> {
    await rm(runDirectory, { recursive: true, force: true });
  }
}

/** What a guest that does not come up has to say, as long as nobody reads its console. */
function consoleOf(process: VmmProcess | undefined): string {
  const bytes: Buffer | null | undefined = process?.console.read();
  return bytes?.toString('utf8').trim().slice(-consoleCharacters) ?? '';
}

interface OpenSnapshot {
  directory: string;
  manifest: Manifest;
  statePath: string;
}

/** Verifies a sleeping VM's files. Its memory is verified while it is applied. */
async function openSnapshot(
  directory: string,
  disks: string,
  image: LoadedImage,
  engine: (network: EngineRecord['network']) => EngineRecord,
): Promise<OpenSnapshot> {
  const manifest = await readManifest(directory);
  checkEngine(manifest.engine, engine(manifest.engine.network));
  if (manifest.base !== image.id) {
    throw new Fault('snapshot_corrupt', { file: join(directory, 'manifest.json'), why: 'it belongs to another image' });
  }
  await verifyFile(directory, fileOf(manifest, directory, imageFiles.state), { always: true });
  for (const layer of manifest.layers) await verifyFile(disks, layer, { always: false });
  return { directory, manifest, statePath: join(directory, imageFiles.state) };
}

/** The chain of a VM about to run: the sleeping layers stay as they are, a new one on top takes what it writes. */
async function addLayer(image: LoadedImage, disks: string, lower: Manifest['layers']) {
  if (!image.manifest.files.some((file) => file.name === imageLayers.root)) return { layers: [], name: undefined };
  await mkdir(disks, { recursive: true, mode: 0o700 });
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
async function applyDelta(process: VmmProcess, image: LoadedImage, snapshot: OpenSnapshot): Promise<void> {
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

async function loadState(process: VmmProcess, stopwatch: Stopwatch): Promise<void> {
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

async function freshen(process: VmmProcess, guest: GuestClient, order: RestoreOrder, clock: Clock): Promise<string[]> {
  // The question waits in the port when the guest starts to run.
  const answer = guest.freshen(order.freshness, BigInt(clock.now()) * 1_000_000n, randomBytes(64), restoreDeadlineMs);
  answer.catch(() => {});
  await process.qmp.execute('cont');
  return answer;
}

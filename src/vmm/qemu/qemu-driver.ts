// Boots and restores VMs under QEMU. The mechanism and its reasons: docs/architecture.md, "How a VM is made".
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import { startStopwatch } from '../../lib/stopwatch.ts';
import { openCgroupTree } from '../cgroup/cgroup-tree.ts';
import type {
  Accelerator,
  BootOrder,
  CompactOrder,
  Driver,
  Machine,
  RestoreOrder,
  ThrowawayDriver,
  ThrowawayOrder,
} from '../driver.ts';
import { GuestClient } from '../guest-client.ts';
import { type BootTools, coldBoot } from './cold-boot.ts';
import { createImageLayers, createThrowawayLayer, imageLayers } from './disk-layers.ts';
import { chooseAccelerator, describeEngine, qemuBinary } from './host-engine.ts';
import { ImageCache } from './image-cache.ts';
import type { Jail } from './jail.ts';
import { jailFiles } from './jail-files.ts';
import type { DiskLayer } from './machine-shape.ts';
import type { EngineRecord } from './manifest.ts';
import { mergeLayers } from './merge-layers.ts';
import { type MachineParts, QemuMachine } from './qemu-machine.ts';
import {
  addLayer,
  applyDelta,
  freshen,
  loadState,
  openSnapshot,
  startVerified,
  verifySnapshot,
} from './restore-steps.ts';
import { imageSaver, suspendSaver } from './savers.ts';
import { startVmm, type VmmProcess } from './vmm-process.ts';

export interface QemuDriverOptions extends BootTools {
  accelerator: Accelerator | 'auto';
  /** Names the cgroups of this server's VMs: different for every server on this machine, the same after its restart. */
  instance: string;
  clock: Clock;
  /** Images kept loaded while nothing uses them. */
  idleImages?: number;
}

/** Throw-away VMs work hard for a short time and profit from room for translated code; thousands of MicroVMs could not afford it. */
const throwawayTranslationMib = 256;

export async function createQemuDriver(options: QemuDriverOptions): Promise<Driver & ThrowawayDriver> {
  const chosen = await chooseAccelerator(options.accelerator);
  const engine = await describeEngine(chosen.accelerator);
  const files = await jailFiles(qemuBinary);
  const { accelerator, kvmGroup } = chosen;
  // Group 0 needs no mention: the device is then open to everyone.
  const device = { path: '/dev/kvm', ...(kvmGroup ? { group: kvmGroup } : {}) };
  const cgroups = await openCgroupTree({ instance: options.instance });
  const launcher = join(options.toolDirectory, 'launch');
  const jail = { launcher, files, cgroups, ...(accelerator === 'kvm' ? { device } : {}) };
  return new QemuDriver(options, accelerator, jail, engine);
}

class QemuDriver implements Driver, ThrowawayDriver {
  readonly name = 'qemu';
  readonly accelerator: Accelerator;
  readonly #jail: Jail;
  readonly #options: QemuDriverOptions;
  readonly #engine: (network: EngineRecord['network']) => EngineRecord;
  readonly #images: ImageCache;

  constructor(
    options: QemuDriverOptions,
    accelerator: Accelerator,
    jail: Jail,
    engine: (network: EngineRecord['network']) => EngineRecord,
  ) {
    this.#options = options;
    this.accelerator = accelerator;
    this.#jail = jail;
    this.#engine = engine;
    this.#images = new ImageCache(join(options.toolDirectory, 'seal'), engine, options.idleImages ?? 4);
  }

  async boot(order: BootOrder): Promise<Machine> {
    const stopwatch = startStopwatch();
    if (order.rootDisk) await createImageLayers(order.rootDisk, order.image);
    stopwatch.lap('disk');
    const { root, init } = imageLayers;
    const layers = order.rootDisk
      ? [
          { path: join(order.image, root), writable: false },
          { path: join(order.image, init), writable: true },
        ]
      : [];
    const { memory, hello, ...started } = await coldBoot(
      this.#options,
      order,
      { plan: this.#plan(order), layers },
      stopwatch,
    );
    const engine = this.#engine(order.wire ? 'tap' : 'none');
    const { image: directory, runDirectory, size } = order;
    const hasDisk = Boolean(order.rootDisk);
    const saver = (): ReturnType<typeof imageSaver> => {
      const nowMs = this.#options.clock.now();
      return imageSaver({ ...size, directory, runDirectory, memory, engine, guest: hello, hasDisk, nowMs });
    };
    return new QemuMachine({ ...started, imageSaver: saver });
  }

  async bootThrowaway(order: ThrowawayOrder): Promise<Machine> {
    const stopwatch = startStopwatch();
    const layers: DiskLayer[] = [
      { path: order.rootDisk, writable: false, format: 'raw' },
      { path: await createThrowawayLayer(order.rootDisk, order.scratch), writable: true },
      ...order.disks.map((disk) => ({ ...disk, format: 'raw', startsDisk: true }) as const),
    ];
    stopwatch.lap('disk');
    const parts = { plan: this.#plan(order), layers, translationMib: throwawayTranslationMib };
    const { memory: _, hello: __, ...started } = await coldBoot(this.#options, order, parts, stopwatch);
    return new QemuMachine({ ...started, imageSaver: undefined });
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
      const snapshot = order.snapshot ? await openSnapshot(order.snapshot, image, this.#engine) : undefined;
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
      process = await startVerified(
        () => startVmm(plan, order.signal),
        async () => snapshot && verifySnapshot(snapshot, order.disks),
      );
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
          nowMs: this.#options.clock.now(),
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
      throw order.signal?.aborted ? new Fault('aborted', { what: 'Starting a VM' }, error) : error;
    }
  }

  async adopt(): Promise<undefined> {
    return undefined;
  }

  async sweep(): Promise<[]> {
    return [];
  }

  async preload(image: string): Promise<void> {
    (await this.#images.acquire(image)).release();
  }

  forget(image: string): void {
    this.#images.forget(image);
  }

  idleImages(): { image: string; bytes: number }[] {
    return this.#images.idle();
  }

  compact(order: CompactOrder): Promise<boolean> {
    return mergeLayers(order);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#images.close();
    await this.#jail.cgroups.close();
  }

  #plan(order: BootOrder | ThrowawayOrder | RestoreOrder) {
    const { runDirectory, wire, cpu } = order;
    return {
      binary: qemuBinary,
      jail: this.#jail,
      accelerator: this.accelerator,
      runDirectory,
      ...(cpu ? { cpu } : {}),
      ...(wire ? { wire } : {}),
    };
  }

  async #tidy(runDirectory: string): Promise<void> {
    await rm(runDirectory, { recursive: true, force: true });
  }
}

// Boots and restores VMs under QEMU. The mechanism and its reasons: docs/architecture.md, "How a VM is made".
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { describe, Fault, isFault } from '../../lib/errors.ts';
import { printable } from '../../lib/printable.ts';
import { type Stopwatch, startStopwatch } from '../../lib/stopwatch.ts';
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
import { createImageLayers, createThrowawayLayer, imageLayers } from './disk-layers.ts';
import { chooseAccelerator, describeEngine, qemuBinary } from './host-engine.ts';
import { ImageCache } from './image-cache.ts';
import type { Jail } from './jail.ts';
import { jailFiles } from './jail-files.ts';
import type { DiskLayer } from './machine-shape.ts';
import type { EngineRecord, Manifest } from './manifest.ts';
import { createMemoryFile, type MemoryFile } from './memfd.ts';
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

export interface QemuDriverOptions {
  accelerator: Accelerator | 'auto';
  /** Guest kernel, initramfs and its release, as set-up makes them. */
  guestDirectory: string;
  /** `launch` and `seal`, as set-up makes them. */
  toolDirectory: string;
  /** Names the cgroups of this server's VMs: different for every server on this machine, the same after its restart. */
  instance: string;
  clock: Clock;
  /** Images kept loaded while nothing uses them. */
  idleImages?: number;
  /** How long a cold boot may take until the agent answers. */
  bootDeadlineMs?: number;
}

const kernelArguments = 'console=ttyS0 quiet panic=-1 tsc=reliable';
const consoleCharacters = 2_000;

/** Throw-away VMs work hard for a short time and profit from room for translated code; thousands of MicroVMs could not afford it. */
const throwawayTranslationMib = 256;

/** A VM whose agent answers, and what else is needed to make it a `Machine`. */
type ColdBoot = Omit<MachineParts, 'imageSaver'> & { memory: MemoryFile; hello: Manifest['guest'] };

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
    const { memory, hello, ...started } = await this.#coldBoot(order, layers, stopwatch);
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
    const {
      memory: _,
      hello: __,
      ...started
    } = await this.#coldBoot(order, layers, stopwatch, throwawayTranslationMib);
    return new QemuMachine({ ...started, imageSaver: undefined });
  }

  /** Once in some hundred boots under emulation a guest stands still before its agent speaks: it gets a second attempt, with the whole time. */
  async #coldBoot(
    order: BootOrder | ThrowawayOrder,
    layers: DiskLayer[],
    stopwatch: Stopwatch,
    translationMib?: number,
  ): Promise<ColdBoot> {
    const limitMs = this.#options.bootDeadlineMs ?? 120_000;
    const more = translationMib ? { translationMib } : {};
    try {
      return await this.#attemptBoot(order, { layers, ...more }, stopwatch, limitMs / 3);
    } catch (error) {
      if (!isFault(error, 'guest_failed') || !isFault(error.cause, 'deadline_exceeded')) throw error;
      stopwatch.lap('stuck');
      return this.#attemptBoot(order, { layers, ...more }, stopwatch, limitMs);
    }
  }

  async #attemptBoot(
    order: BootOrder | ThrowawayOrder,
    parts: { layers: DiskLayer[]; translationMib?: number },
    stopwatch: Stopwatch,
    helloMs: number,
  ): Promise<ColdBoot> {
    const { guestDirectory, toolDirectory } = this.#options;
    const { size, onConsole } = order;
    const bytes = size.memoryMib * 1024 * 1024;
    const memory = await createMemoryFile(join(toolDirectory, 'seal'), 'wb-boot', bytes, { sealed: false });
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
      const plan = { ...this.#plan(order), ...parts, size, kernel, memoryFd: memory.fd, shareMemory: true };
      process = await startVmm(plan, order.signal);
      stopwatch.lap('spawn');
      const guest = new GuestClient(process.control, order.wire);
      await process.qmp.execute('cont');
      const hello = await guest.hello(helloMs);
      stopwatch.lap('boot');
      const stages = stopwatch.stages();
      return { memory, hello, process, guest, stages, repaired: [], onConsole, suspendSaver: undefined, release };
    } catch (error) {
      const said = process && (await lastSigns(process));
      await process?.kill();
      await release();
      if (!isFault(error, 'guest_failed', 'deadline_exceeded')) throw error;
      throw new Fault('guest_failed', { what: `did not boot (${describe(error)}). ${said}` }, error);
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
      throw error;
    }
  }

  async preload(image: string): Promise<void> {
    (await this.#images.acquire(image)).release();
  }

  forget(image: string): void {
    this.#images.forget(image);
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

/** What a guest that does not come up has to say, as long as nobody reads its console, and where its processors are. */
async function lastSigns(process: VmmProcess): Promise<string> {
  const bytes: Buffer | null | undefined = process.console.read();
  const said = printable(bytes?.toString('utf8') ?? '')
    .trim()
    .slice(-consoleCharacters);
  const command = { 'command-line': 'info registers -a' };
  const registers = await process.qmp.execute('human-monitor-command', command).catch(() => '');
  const places = [...String(registers).matchAll(/[ER]IP=[0-9a-f]+|HLT=\d/g)].join(' ');
  return `Its console: ${said || 'nothing'}. Its processors: ${places || 'unknown'}.`;
}

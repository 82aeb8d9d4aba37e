// Boots and restores VMs under QEMU. The mechanism and its reasons: docs/architecture.md, "How a VM is made".
import { dirname, join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { startStopwatch } from '../../lib/stopwatch.ts';
import { openCgroupTree } from '../cgroup/cgroup-tree.ts';
import type {
  Accelerator,
  AdoptOrder,
  BootOrder,
  CompactOrder,
  Driver,
  Machine,
  RestoreOrder,
  SweptVm,
  ThrowawayDriver,
  ThrowawayOrder,
} from '../driver.ts';
import { adoptMachine, findRunning } from './adoption.ts';
import { type BootTools, coldBoot } from './cold-boot.ts';
import { createImageLayers, createThrowawayLayer, imageLayers } from './disk-layers.ts';
import { chooseAccelerator, describeEngine, qemuBinary } from './host-engine.ts';
import { ImageCache } from './image-cache.ts';
import type { Jail } from './jail.ts';
import { jailFiles } from './jail-files.ts';
import type { DiskLayer } from './machine-shape.ts';
import type { EngineRecord } from './manifest.ts';
import { mergeLayers } from './merge-layers.ts';
import { readBootId } from './process-identity.ts';
import { QemuMachine } from './qemu-machine.ts';
import { restoreMachine } from './restore.ts';
import { imageSaver } from './savers.ts';
import { sweepVmms } from './sweep.ts';
import type { VmmPlan } from './vmm-process.ts';
import { isRunDirectory } from './vmm-record.ts';

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
  const jail: Jail = { launcher, files, cgroups, pids: new Set(), ...(accelerator === 'kvm' ? { device } : {}) };
  return new QemuDriver(options, accelerator, jail, engine, await readBootId());
}

class QemuDriver implements Driver, ThrowawayDriver {
  readonly name = 'qemu';
  readonly accelerator: Accelerator;
  readonly #jail: Jail;
  readonly #options: QemuDriverOptions;
  readonly #engine: (network: EngineRecord['network']) => EngineRecord;
  readonly #images: ImageCache;
  readonly #bootId: string;
  /** Run directories of VMs that run or are being started or adopted. */
  readonly #directories = new Set<string>();
  /** Those of them that an earlier server left. */
  readonly #adopting = new Set<string>();

  constructor(
    options: QemuDriverOptions,
    accelerator: Accelerator,
    jail: Jail,
    engine: (network: EngineRecord['network']) => EngineRecord,
    bootId: string,
  ) {
    this.#bootId = bootId;
    this.#options = options;
    this.accelerator = accelerator;
    this.#jail = jail;
    this.#engine = engine;
    this.#images = new ImageCache(join(options.toolDirectory, 'seal'), engine, options.idleImages ?? 4);
  }

  boot(order: BootOrder): Promise<Machine> {
    return this.#inRunDirectory(order, () => this.#boot(order));
  }

  bootThrowaway(order: ThrowawayOrder): Promise<Machine> {
    return this.#inRunDirectory(order, () => this.#bootThrowaway(order));
  }

  restore(order: RestoreOrder): Promise<Machine> {
    return this.#inRunDirectory(order, () => {
      const { clock } = this.#options;
      return restoreMachine(order, this.#plan(order), { images: this.#images, engine: this.#engine, clock });
    });
  }

  async adopt(order: AdoptOrder): Promise<Machine | undefined> {
    const { runDirectory } = order;
    this.#adopting.add(runDirectory);
    try {
      const record = await findRunning(runDirectory, this.#bootId);
      const tools = { images: this.#images, jail: this.#jail, clock: this.#options.clock };
      const machine = record && (await this.#inRunDirectory(order, () => adoptMachine(order, record, tools)));
      if (!machine) await this.#clear(runDirectory);
      return machine;
    } catch (error) {
      if (order.signal?.aborted) await this.#clear(runDirectory);
      throw error;
    } finally {
      this.#adopting.delete(runDirectory);
    }
  }

  sweep(runRoot: string, keep: ReadonlySet<string>, options: { dryRun?: boolean } = {}): Promise<SweptVm[]> {
    return this.#sweep(runRoot, (path) => keep.has(path) || this.#adopting.has(path), options.dryRun);
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

  async #boot(order: BootOrder): Promise<Machine> {
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
    const parts = { plan: this.#plan(order), layers };
    const { memory, hello, ...started } = await coldBoot(this.#options, order, parts, stopwatch);
    const engine = this.#engine(order.wire ? 'tap' : 'none');
    const { image: directory, runDirectory, size } = order;
    const hasDisk = Boolean(order.rootDisk);
    const saver = (): ReturnType<typeof imageSaver> => {
      const nowMs = this.#options.clock.now();
      return imageSaver({ ...size, directory, runDirectory, memory, engine, guest: hello, hasDisk, nowMs });
    };
    return new QemuMachine({ ...started, imageSaver: saver });
  }

  async #bootThrowaway(order: ThrowawayOrder): Promise<Machine> {
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

  /** Ends and removes what there is of one VM that is not ours. */
  async #clear(runDirectory: string): Promise<void> {
    if (!(await isRunDirectory(runDirectory))) return;
    await this.#sweep(dirname(runDirectory), (path) => path !== runDirectory);
  }

  #sweep(runRoot: string, keep: (runDirectory: string) => boolean, dryRun = false): Promise<SweptVm[]> {
    const { cgroups, pids } = this.#jail;
    return sweepVmms(runRoot, { cgroups, pids, directories: this.#directories, keep, dryRun });
  }

  /** The directory is a VM's of this driver while `start` is under way and, when it resolves with a machine, until that one's end. */
  async #inRunDirectory<T extends Machine | undefined>(
    { runDirectory }: { runDirectory: string },
    start: () => Promise<T>,
  ): Promise<T> {
    this.#directories.add(runDirectory);
    const giveBack = (): boolean => this.#directories.delete(runDirectory);
    try {
      const machine = await start();
      if (machine) void machine.ended.then(giveBack);
      else giveBack();
      return machine;
    } catch (error) {
      giveBack();
      throw error;
    }
  }

  #plan(order: BootOrder | ThrowawayOrder | RestoreOrder): VmmPlan {
    const { runDirectory, wire, cpu } = order;
    return {
      binary: qemuBinary,
      jail: this.#jail,
      bootId: this.#bootId,
      accelerator: this.accelerator,
      runDirectory,
      ...(cpu ? { cpu } : {}),
      ...(wire ? { wire } : {}),
    };
  }
}

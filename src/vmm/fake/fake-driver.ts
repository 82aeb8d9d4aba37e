// A driver without VMs, for tests and for trying the product where nothing can be virtualized. It keeps the rules of the real one.
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import { startStopwatch } from '../../lib/stopwatch.ts';
import type { AdoptOrder, BootOrder, CompactOrder, Driver, RestoreOrder, SweptVm } from '../driver.ts';
import { type AppState, newAppState } from './app-state.ts';
import { addLayer, compactLayers } from './disk-layers.ts';
import { FakeApp } from './fake-app.ts';
import { FakeGuest } from './fake-guest.ts';
import { FakeMachine } from './fake-machine.ts';
import { endOrphan, type FakeVm, orphan, orphanAt, orphanDirectories, takeOrphan } from './orphans.ts';
import { appScript } from './script.ts';
import { manifestName, readSnapshot } from './snapshot-files.ts';

export interface FakeDriverOptions {
  clock?: Clock;
  /** Artificial durations; default 0. */
  latencyMs?: { boot?: number; restore?: number; suspend?: number };
}

export interface FakeDriver extends Driver {
  /** As when the server is killed: its VMs run on or stand still as they are, and nothing that it was doing goes on. Nothing else may be called afterwards. */
  crash(): Promise<void>;
  adopt(order: AdoptOrder): Promise<FakeMachine | undefined>;
  /** VMs that run now, oldest first. */
  readonly machines: readonly FakeMachine[];
  boot(order: BootOrder): Promise<FakeMachine>;
  restore(order: RestoreOrder): Promise<FakeMachine>;
}

/** Above the largest process id that Linux gives out, so that a signal sent to it reaches nobody. */
let nextPid = 2 ** 22 + 1;

export function createFakeDriver(options: FakeDriverOptions = {}): FakeDriver {
  return new InMemoryDriver(options);
}

class InMemoryDriver implements FakeDriver {
  readonly name = 'fake';
  readonly accelerator = 'fake';
  readonly #clock: Clock;
  readonly #latencyMs: NonNullable<FakeDriverOptions['latencyMs']>;
  readonly #machines = new Set<FakeMachine>();
  /** Run directories of VMs that are being started, and their process ids. */
  readonly #starting = new Map<string, number>();
  #crashed = false;

  constructor(options: FakeDriverOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#latencyMs = options.latencyMs ?? {};
  }

  get machines(): readonly FakeMachine[] {
    return [...this.#machines];
  }

  async boot(order: BootOrder): Promise<FakeMachine> {
    const stopwatch = startStopwatch();
    return this.#start(order.runDirectory, async (pid) => {
      await this.#delay(this.#latencyMs.boot, order.signal);
      stopwatch.lap('boot');
      const machine = await this.#machine(pid, order, newAppState(), order.size, { image: order.image });
      machine.stages = stopwatch.stages();
      return machine;
    });
  }

  async restore(order: RestoreOrder): Promise<FakeMachine> {
    const stopwatch = startStopwatch();
    return this.#start(order.runDirectory, async (pid) => {
      const image = await readSnapshot(order.image, 'image');
      const { state } = order.snapshot ? await readSnapshot(order.snapshot, 'microvm', image.id) : image;
      await addLayer(order.disks);
      stopwatch.lap('prepare');
      await this.#delay(this.#latencyMs.restore, order.signal);
      if (appScript(state.environment).restoreFails) {
        throw new Fault('vmm_failed', { what: 'could not load the device state, as its script says' });
      }
      stopwatch.lap('load');
      const identity = { ...order.freshness };
      const machine = await this.#machine(pid, order, { ...state, identity }, image, { base: image.id });
      machine.repaired = ['clock', 'entropy', 'machine-id', 'boot-id', 'hostname', 'sockets'];
      machine.app.run();
      stopwatch.lap('freshen');
      machine.stages = stopwatch.stages();
      return machine;
    });
  }

  compact(order: CompactOrder): Promise<boolean> {
    return compactLayers(order);
  }

  async adopt(order: AdoptOrder): Promise<FakeMachine | undefined> {
    const { runDirectory, image, signal } = order;
    const vm = orphanAt(runDirectory)?.vm;
    if (vm?.base === undefined || signal?.aborted) {
      await endOrphan(runDirectory);
      if (signal?.aborted) throw new Fault('aborted', { what: 'Taking over a VM' });
      return undefined;
    }
    const { id } = await readSnapshot(image, 'image');
    if (id !== vm.base) {
      const why = 'it is not the one that the VM was started from';
      throw new Fault('snapshot_corrupt', { file: join(image, manifestName), why });
    }
    // It may have died meanwhile.
    if (orphanAt(runDirectory)?.vm !== vm) return undefined;
    takeOrphan(runDirectory);
    const machine = this.#hold(vm, order);
    vm.app.thaw();
    return machine;
  }

  async sweep(runRoot: string, keep: ReadonlySet<string>, options: { dryRun?: boolean } = {}): Promise<SweptVm[]> {
    const swept: SweptVm[] = [];
    for (const runDirectory of orphanDirectories()) {
      const left = orphanAt(runDirectory);
      if (!left || dirname(runDirectory) !== runRoot || keep.has(runDirectory)) continue;
      if (!options.dryRun) await endOrphan(runDirectory);
      swept.push({ runDirectory, pid: left.pid });
    }
    return swept;
  }

  async crash(): Promise<void> {
    this.#crashed = true;
    for (const [runDirectory, pid] of this.#starting) orphan(runDirectory, { pid });
    await Promise.all(this.machines.map((machine) => machine.abandon()));
  }

  async preload(image: string): Promise<void> {
    await readSnapshot(image, 'image');
  }

  forget(): void {
    // Nothing is kept of an image between its uses.
  }

  idleImages(): [] {
    return [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.machines.map((machine) => machine.kill()));
  }

  async #machine(
    pid: number,
    order: BootOrder | RestoreOrder,
    state: AppState,
    { memoryMib, vcpus }: { memoryMib: number; vcpus: number },
    saves: { image?: string; base?: string },
  ): Promise<FakeMachine> {
    const app = new FakeApp(state, this.#clock);
    const guest = new FakeGuest(app, this.#clock);
    await guest.listen();
    const { runDirectory, cpu } = order;
    const { image, base } = saves;
    return this.#hold({ pid, app, guest, runDirectory, memoryMib, vcpus, cpu, image, base }, order);
  }

  #hold(vm: FakeVm, { onConsole, signal }: Pick<BootOrder, 'onConsole' | 'signal'>): FakeMachine {
    const machine = new FakeMachine(vm, {
      onConsole,
      suspendDelay: () => this.#delay(this.#latencyMs.suspend),
      onEnd: () => {
        this.#machines.delete(machine);
        signal?.removeEventListener('abort', onAbort);
      },
    });
    const onAbort = (): void => void machine.kill();
    this.#machines.add(machine);
    if (signal?.aborted) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
    return machine;
  }

  /** On failure nothing is left. */
  async #start(runDirectory: string, start: (pid: number) => Promise<FakeMachine>): Promise<FakeMachine> {
    const pid = nextPid++;
    this.#starting.set(runDirectory, pid);
    try {
      return await start(pid);
    } catch (error) {
      if (!this.#crashed) await rm(runDirectory, { recursive: true, force: true });
      throw error;
    } finally {
      this.#starting.delete(runDirectory);
      if (this.#crashed) await new Promise(() => {});
    }
  }

  #delay(ms = 0, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        timer?.cancel();
        reject(new Fault('aborted', { what: 'Starting a VM' }));
      };
      const timer = ms > 0 ? this.#clock.after(ms, finish) : undefined;
      function finish(): void {
        signal?.removeEventListener('abort', abort);
        resolve();
      }
      if (signal?.aborted) abort();
      else if (timer) signal?.addEventListener('abort', abort, { once: true });
      else resolve();
    });
  }
}

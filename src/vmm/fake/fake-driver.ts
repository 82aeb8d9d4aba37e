// A driver without VMs, for tests and for trying the product where nothing can be virtualized. It keeps the rules of the real one.
import { rm } from 'node:fs/promises';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import { startStopwatch } from '../../lib/stopwatch.ts';
import type { BootOrder, CompactOrder, Driver, RestoreOrder } from '../driver.ts';
import { type AppState, newAppState } from './app-state.ts';
import { addLayer, compactLayers } from './disk-layers.ts';
import { FakeMachine } from './fake-machine.ts';
import { appScript } from './script.ts';
import { readSnapshot } from './snapshot-files.ts';

export interface FakeDriverOptions {
  clock?: Clock;
  /** Artificial durations; default 0. */
  latencyMs?: { boot?: number; restore?: number; suspend?: number };
}

export interface FakeDriver extends Driver {
  /** VMs that run now, oldest first. */
  readonly machines: readonly FakeMachine[];
  boot(order: BootOrder): Promise<FakeMachine>;
  restore(order: RestoreOrder): Promise<FakeMachine>;
}

/** Above the largest process id that Linux gives out, so that a signal sent to it reaches nobody. */
const firstPid = 2 ** 22 + 1;

export function createFakeDriver(options: FakeDriverOptions = {}): FakeDriver {
  return new InMemoryDriver(options);
}

class InMemoryDriver implements FakeDriver {
  readonly name = 'fake';
  readonly accelerator = 'fake';
  readonly #clock: Clock;
  readonly #latencyMs: NonNullable<FakeDriverOptions['latencyMs']>;
  readonly #machines = new Set<FakeMachine>();
  #nextPid = firstPid;

  constructor(options: FakeDriverOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#latencyMs = options.latencyMs ?? {};
  }

  get machines(): readonly FakeMachine[] {
    return [...this.#machines];
  }

  async boot(order: BootOrder): Promise<FakeMachine> {
    const stopwatch = startStopwatch();
    return this.#tidyOnFailure(order.runDirectory, async () => {
      await this.#delay(this.#latencyMs.boot, order.signal);
      stopwatch.lap('boot');
      const machine = await this.#machine(order, newAppState(), order.size, { image: order.image });
      machine.stages = stopwatch.stages();
      return machine;
    });
  }

  async restore(order: RestoreOrder): Promise<FakeMachine> {
    const stopwatch = startStopwatch();
    return this.#tidyOnFailure(order.runDirectory, async () => {
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
      const machine = await this.#machine(order, { ...state, identity }, image, { base: image.id });
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

  async adopt(): Promise<undefined> {
    return undefined;
  }

  async sweep(): Promise<[]> {
    return [];
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
    order: BootOrder | RestoreOrder,
    state: AppState,
    size: { memoryMib: number; vcpus: number },
    saves: { image?: string; base?: string },
  ): Promise<FakeMachine> {
    const machine = new FakeMachine({
      cpu: order.cpu,
      pid: this.#nextPid++,
      clock: this.#clock,
      state,
      memoryMib: size.memoryMib,
      vcpus: size.vcpus,
      runDirectory: order.runDirectory,
      onConsole: order.onConsole,
      image: saves.image,
      base: saves.base,
      suspendDelay: () => this.#delay(this.#latencyMs.suspend),
      onEnd: () => {
        this.#machines.delete(machine);
        order.signal?.removeEventListener('abort', onAbort);
      },
    });
    await machine.guest.listen();
    const onAbort = (): void => void machine.kill();
    this.#machines.add(machine);
    if (order.signal?.aborted) onAbort();
    else order.signal?.addEventListener('abort', onAbort, { once: true });
    return machine;
  }

  async #tidyOnFailure<T>(runDirectory: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      await rm(runDirectory, { recursive: true, force: true });
      throw error;
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

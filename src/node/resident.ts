// One MicroVM of this host, awake or asleep, and the steps that change which. Steps of one MicroVM never overlap: the control plane asks one at a time,
// and `busy` refuses what would.
import { rm } from 'node:fs/promises';
import type { EndReason, HookPlan, LaunchReport, SuspendReport } from '../contract/node-api.ts';
import { describe, Fault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { startStopwatch } from '../lib/stopwatch.ts';
import type { Slot, SlotPool } from '../net/slot.ts';
import type { Driver, Machine, MachineEnd } from '../vmm/driver.ts';
import { callHook } from './hooks.ts';
import { type NodeLayout, vmPaths } from './layout.ts';
import type { VmRecord } from './vm-record.ts';

export interface ResidentTools {
  driver: Driver;
  slots: SlotPool | undefined;
  layout: NodeLayout;
  log: Log;
  /** Called when the MicroVM is no more and nobody asked for that. */
  onEnded(microvmId: string, reason: EndReason): void;
}

/** A sleeping MicroVM with this many disk layers gets them merged. */
const mergeFromLayers = 6;
/** A wake stops a merge, so that nobody waits for it; but with this many sleeps since the last one it must come to its end. */
const mergeAtLatest = 64;

export class Resident {
  readonly record: VmRecord;
  readonly #tools: ResidentTools;
  readonly #image: string;
  readonly #hooks: HookPlan;
  /** Of the newest whole snapshot; 0 before the first. */
  #generation: number;
  #awake: { machine: Machine; slot: Slot | undefined } | undefined;
  #busy = false;
  #sleepsSinceMerge = 0;
  #compacting: { abort: AbortController; done: Promise<void> } | undefined;

  constructor(tools: ResidentTools, record: VmRecord, image: string, hooks: HookPlan, generation: number) {
    this.#tools = tools;
    this.record = record;
    this.#image = image;
    this.#hooks = hooks;
    this.#generation = generation;
  }

  get state(): 'running' | 'asleep' {
    return this.#awake ? 'running' : 'asleep';
  }

  get generation(): number {
    return this.#generation;
  }

  get machine(): Machine {
    if (!this.#awake) throw new Fault('guest_failed', { what: 'is asleep' });
    return this.#awake.machine;
  }

  /** From the image, or from the last snapshot. On failure nothing runs; an older snapshot stays good. */
  wake(hook: 'run' | 'resume', hookBody?: string): Promise<LaunchReport> {
    return this.#alone(async () => {
      if (this.#awake) throw new Fault('conflict', { what: `${this.record.microvmId} already runs.` });
      await this.#stopCompacting(this.#sleepsSinceMerge >= mergeAtLatest);
      const { driver, slots, layout } = this.#tools;
      const stopwatch = startStopwatch();
      const paths = vmPaths(layout, this.record.microvmId);
      const slot = await slots?.acquire();
      let machine: Machine | undefined;
      const before = { slot: stopwatch.split() };
      try {
        machine = await driver.restore({
          runDirectory: `${layout.run}/${this.record.microvmId.slice(-12)}`,
          image: this.#image,
          ...(this.#generation > 0 ? { snapshot: paths.snapshot(this.#generation) } : {}),
          disks: paths.disks,
          ...(slot ? { wire: slot } : {}),
          freshness: this.record.identity,
        });
        stopwatch.split();
        if (await callHook(machine.guest, this.#hooks, hook, hookBody)) stopwatch.lap('hook');
      } catch (error) {
        await machine?.kill();
        await slot?.release();
        throw error;
      }
      this.#awake = { machine, slot };
      void machine.ended.then((end) => this.#onMachineEnd(machine, end));
      return {
        stages: { ...before, ...machine.stages, ...stopwatch.stages() },
        repaired: machine.repaired,
        accelerator: driver.accelerator,
      };
    });
  }

  /** On failure it still runs, or, when the VMM was already gone, sleeps at its previous snapshot or has ended. */
  sleep(): Promise<SuspendReport> {
    return this.#alone(async () => {
      const { machine, slot } = this.#running();
      const stopwatch = startStopwatch();
      const paths = vmPaths(this.#tools.layout, this.record.microvmId);
      if (await callHook(machine.guest, this.#hooks, 'suspend')) stopwatch.lap('hook');
      const next = this.#generation + 1;
      const result = await machine.suspend(paths.snapshot(next)).catch(async (error: unknown) => {
        if (await isOver(machine)) await this.#lost(slot, describe(error));
        throw error;
      });
      this.#awake = undefined;
      const previous = this.#generation;
      this.#generation = next;
      this.#sleepsSinceMerge++;
      if (previous > 0) this.#discard(paths.snapshot(previous));
      this.#release(slot);
      this.#compact();
      return { stages: { ...stopwatch.stages(), ...result.stages }, asleepBytes: result.bytes };
    });
  }

  /** Ends it and removes its files. */
  end(): Promise<void> {
    return this.#alone(async () => {
      if (this.#awake) {
        const { machine, slot } = this.#awake;
        await callHook(machine.guest, this.#hooks, 'terminate').catch((error: unknown) => {
          this.#tools.log.warn('terminate_hook_failed', { microvmId: this.record.microvmId, why: describe(error) });
        });
        this.#awake = undefined;
        await machine.kill();
        this.#release(slot);
      }
      await this.remove();
    });
  }

  /** Ends the VMM only; what sleeps stays. */
  async kill(): Promise<void> {
    const awake = this.#awake;
    this.#awake = undefined;
    await this.#stopCompacting();
    await awake?.machine.kill();
    await awake?.slot?.release();
  }

  async remove(): Promise<void> {
    await this.#stopCompacting();
    await rm(vmPaths(this.#tools.layout, this.record.microvmId).directory, { recursive: true, force: true });
  }

  #running(): { machine: Machine; slot: Slot | undefined } {
    if (!this.#awake) throw new Fault('conflict', { what: `${this.record.microvmId} does not run.` });
    return this.#awake;
  }

  async #alone<T>(step: () => Promise<T>): Promise<T> {
    if (this.#busy)
      throw new Fault('conflict', { what: `${this.record.microvmId} is in the middle of another change.` });
    this.#busy = true;
    try {
      return await step();
    } finally {
      this.#busy = false;
    }
  }

  /** In the background, while it sleeps; whoever comes next stops it. */
  #compact(): void {
    const { driver, layout, log } = this.#tools;
    const paths = vmPaths(layout, this.record.microvmId);
    const [snapshot, next] = [paths.snapshot(this.#generation), this.#generation + 1];
    const abort = new AbortController();
    const order = {
      image: this.#image,
      snapshot,
      disks: paths.disks,
      target: paths.snapshot(next),
      from: mergeFromLayers,
    };
    const done = driver.compact({ ...order, signal: abort.signal }).then(
      async (made) => {
        if (!made) return;
        this.#generation = next;
        this.#sleepsSinceMerge = 0;
        this.#discard(snapshot);
      },
      (error: unknown) => {
        if (!abort.signal.aborted)
          log.warn('layers_not_merged', { microvmId: this.record.microvmId, why: describe(error) });
      },
    );
    this.#compacting = { abort, done };
  }

  async #stopCompacting(letItFinish = false): Promise<void> {
    const compacting = this.#compacting;
    this.#compacting = undefined;
    if (!letItFinish) compacting?.abort.abort();
    await compacting?.done;
  }

  /** The VMM ended before its snapshot was whole: what is left is the one before, if there is one. */
  async #lost(slot: Slot | undefined, what: string): Promise<void> {
    this.#awake = undefined;
    this.#release(slot);
    if (this.#generation > 0) return;
    await this.remove();
    this.#tools.onEnded(this.record.microvmId, { cause: 'vmm_died', what });
  }

  /** A snapshot that a newer one has replaced. What a crash leaves of it, the next start removes. */
  #discard(snapshot: string): void {
    rm(snapshot, { recursive: true, force: true }).catch((error: unknown) => {
      this.#tools.log.error('snapshot_not_removed', { snapshot, why: describe(error) });
    });
  }

  /** The slot's removal is nobody's latency. */
  #release(slot: Slot | undefined): void {
    slot
      ?.release()
      .catch((error: unknown) =>
        this.#tools.log.error('slot_not_released', { slot: slot.index, why: describe(error) }),
      );
  }

  async #onMachineEnd(machine: Machine, { cause, what, consoleTail }: MachineEnd): Promise<void> {
    if (this.#awake?.machine !== machine || cause === 'requested') return;
    const { slot } = this.#awake;
    const { microvmId } = this.record;
    this.#awake = undefined;
    this.#release(slot);
    await this.remove();
    this.#tools.log.warn('microvm_last_words', { microvmId, consoleTail });
    this.#tools.onEnded(microvmId, { cause, what });
  }
}

const isOver = (machine: Machine): Promise<boolean> =>
  Promise.race([machine.ended.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);

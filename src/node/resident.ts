// One MicroVM of this host, awake or asleep, and the steps that change which. Steps of one MicroVM never overlap: the control plane asks one at a time,
// and `busy` refuses what would.
import type { EndReason, LaunchReport, NodeStatistics, RelayAddress, SuspendReport } from '../contract/node-api.ts';
import { remove } from '../lib/durable-file.ts';
import { describe, Fault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { type Stopwatch, startStopwatch } from '../lib/stopwatch.ts';
import type { Slot, SlotPool } from '../net/slot.ts';
import type { Driver, Machine, MachineEnd } from '../vmm/driver.ts';
import type { Admission } from './admission/admission.ts';
import { callHook } from './hooks.ts';
import { demandOf, type ImageFacts } from './image-facts.ts';
import { type NodeLayout, vmPaths } from './layout.ts';
import { Snapshots } from './snapshots.ts';
import type { VmRecord } from './vm-record.ts';

export interface ResidentTools {
  driver: Driver;
  slots: SlotPool | undefined;
  layout: NodeLayout;
  admission: Admission;
  log: Log;
  /** The end of the host: nothing starts any more, and what is being started ends. */
  closing: AbortSignal;
  /** Called when the MicroVM is no more and nobody asked for that. */
  onEnded(microvmId: string, reason: EndReason): void;
}

interface Awake {
  machine: Machine;
  slot: Slot | undefined;
}

export class Resident {
  readonly record: VmRecord;
  readonly #tools: ResidentTools;
  readonly #image: string;
  readonly #facts: ImageFacts;
  readonly #snapshots: Snapshots;
  #awake: Awake | undefined;
  #busy = false;

  constructor(tools: ResidentTools, record: VmRecord, image: string, facts: ImageFacts, generation: number) {
    this.#tools = tools;
    this.record = record;
    this.#image = image;
    this.#facts = facts;
    this.#snapshots = new Snapshots(tools, record.microvmId, image, facts, generation);
  }

  get state(): 'running' | 'asleep' {
    return this.#awake ? 'running' : 'asleep';
  }

  get machine(): Machine {
    if (!this.#awake) throw new Fault('guest_failed', { what: 'is asleep' });
    return this.#awake.machine;
  }

  /** Undefined while it sleeps. */
  async statistics(): Promise<NodeStatistics | undefined> {
    if (!this.#awake) return undefined;
    const { machine, slot } = this.#awake;
    const [process, sentBytes = 0] = await Promise.all([machine.statistics(), slot?.sentBytes()]);
    return { ...process, sentBytes };
  }

  /** Undefined while it does not run. */
  get relay(): RelayAddress | undefined {
    return this.#awake?.machine.guest.relay;
  }

  /** From the image, or from the last snapshot. On failure nothing runs; an older snapshot stays good. */
  wake(hook: 'run' | 'resume', hookBody?: string): Promise<LaunchReport> {
    return this.#alone(async () => {
      if (this.#awake) throw new Fault('conflict', { what: `${this.record.microvmId} already runs.` });
      await this.#snapshots.rest(true);
      const stopwatch = startStopwatch();
      const { admission } = this.#tools;
      const { microvmId, buildId, account } = this.record;
      const demand = demandOf(buildId, this.#facts);
      const isLaunch = hook === 'run';
      const room = await (isLaunch ? admission.launch(microvmId, demand) : admission.wake(demand));
      let awake: Awake | undefined;
      try {
        // The hook is the guest's own time: it is not part of the turn.
        const { closing: signal } = this.#tools;
        const restore = (): Promise<Awake> => this.#restore(stopwatch);
        awake = await admission.turn(isLaunch ? 'launch' : 'wake', account, restore, signal);
        stopwatch.split();
        const call = { hook, body: hookBody, signal };
        if (await callHook(awake.machine, this.#facts.hooks, call)) stopwatch.lap('hook');
        // From here on `kill` knows of it.
        if (signal.aborted) throw new Fault('aborted', { what: `The ${isLaunch ? 'launch' : 'wake'}` });
      } catch (error) {
        await awake?.machine.kill();
        await awake?.slot?.release();
        room.release();
        throw error;
      }
      const { machine } = awake;
      this.#awake = awake;
      void machine.ended.then((end) => {
        room.release();
        return this.#onMachineEnd(machine, end);
      });
      const { hook: called, ...before } = stopwatch.stages();
      return {
        stages: { ...before, ...machine.stages, ...(called === undefined ? {} : { hook: called }) },
        repaired: machine.repaired,
        accelerator: this.#tools.driver.accelerator,
      };
    });
  }

  /** On failure nothing is left. */
  async #restore(stopwatch: Stopwatch): Promise<Awake> {
    stopwatch.lap('turn');
    const { driver, slots, layout, admission, closing: signal } = this.#tools;
    const { newest, disks } = this.#snapshots;
    const slot = await slots?.acquire(signal);
    stopwatch.lap('slot');
    try {
      const machine = await driver.restore({
        runDirectory: `${layout.run}/${this.record.microvmId.slice(-12)}`,
        image: this.#image,
        ...(newest === undefined ? {} : { snapshot: newest }),
        disks,
        ...(slot ? { wire: slot } : {}),
        cpu: admission.cpu(this.#facts, 'microvm'),
        freshness: this.record.identity,
        signal,
      });
      machine.onStall((stalled) => this.#onStall(stalled));
      return { machine, slot };
    } catch (error) {
      await slot?.release();
      throw error;
    }
  }

  /** On failure it still runs, or, when the VMM was already gone, sleeps at its previous snapshot or has ended. */
  sleep(): Promise<SuspendReport> {
    return this.#alone(async () => {
      const { machine, slot } = this.#running();
      const stopwatch = startStopwatch();
      if (await callHook(machine, this.#facts.hooks, { hook: 'suspend' })) stopwatch.lap('hook');
      const result = await machine.suspend(this.#snapshots.next).catch(async (error: unknown) => {
        if (await isOver(machine)) await this.#lost(slot, describe(error));
        throw error;
      });
      this.#awake = undefined;
      this.#snapshots.taken(result.bytes);
      this.#release(slot);
      return { stages: { ...stopwatch.stages(), ...result.stages }, asleepBytes: result.bytes };
    });
  }

  /** Ends it and removes its files. */
  end(): Promise<void> {
    return this.#alone(async () => {
      if (this.#awake) {
        const { machine, slot } = this.#awake;
        await callHook(machine, this.#facts.hooks, { hook: 'terminate' }).catch((error: unknown) => {
          this.#tools.log.warn('terminate_hook_failed', { microvmId: this.record.microvmId, why: describe(error) });
        });
        this.#awake = undefined;
        await machine.kill();
        this.#release(slot);
      }
      await this.remove();
    });
  }

  /** Ends the VMM only; what sleeps stays. One that is just being started is ended by `closing`. */
  async kill(): Promise<void> {
    const awake = this.#awake;
    this.#awake = undefined;
    await this.#snapshots.rest();
    await awake?.machine.kill();
    await awake?.slot?.release();
  }

  async remove(): Promise<void> {
    await this.#snapshots.rest();
    await remove(vmPaths(this.#tools.layout, this.record.microvmId).directory);
  }

  #running(): Awake {
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

  /** The VMM ended before its snapshot was whole: what is left is the one before, if there is one. */
  async #lost(slot: Slot | undefined, what: string): Promise<void> {
    this.#awake = undefined;
    this.#release(slot);
    if (this.#snapshots.newest !== undefined) return;
    await this.remove();
    this.#tools.onEnded(this.record.microvmId, { cause: 'vmm_died', what });
  }

  /** The slot's removal is nobody's latency. */
  #release(slot: Slot | undefined): void {
    slot
      ?.release()
      .catch((error: unknown) =>
        this.#tools.log.error('slot_not_released', { slot: slot.index, why: describe(error) }),
      );
  }

  #onStall(stalled: boolean): void {
    const { microvmId } = this.record;
    if (stalled) this.#tools.log.error('microvm_waits_for_disk', { microvmId, why: "The host's disk is full." });
    else this.#tools.log.warn('microvm_goes_on', { microvmId });
  }

  async #onMachineEnd(machine: Machine, { cause, what, consoleTail }: MachineEnd): Promise<void> {
    if (this.#awake?.machine !== machine || cause === 'requested') return;
    const { slot } = this.#awake;
    const { microvmId } = this.record;
    this.#awake = undefined;
    this.#tools.log.warn('microvm_last_words', { microvmId, consoleTail });
    // Before the slot, and with it the relay's address, can become another's: nobody may dial it any more.
    this.#tools.onEnded(microvmId, { cause, what });
    this.#release(slot);
    await this.remove();
  }
}

const isOver = (machine: Machine): Promise<boolean> =>
  Promise.race([machine.ended.then(() => true), new Promise<boolean>((resolve) => setImmediate(resolve, false))]);

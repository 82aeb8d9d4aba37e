// One MicroVM of this host, awake or asleep, and the steps that change which. Steps of one MicroVM never overlap: the control plane asks one at a time,
// and `busy` refuses what would. Each is in the journal before it begins: `recovery.ts` says what a crash in the middle of it leads to.
import type { EndReason, LaunchReport, NodeStatistics, RelayAddress, SuspendReport } from '../contract/node-api.ts';
import { describe, Fault } from '../lib/errors.ts';
import { startStopwatch } from '../lib/stopwatch.ts';
import type { Slot } from '../net/slot.ts';
import type { MachineEnd } from '../vmm/driver.ts';
import type { Hold } from './admission/memory-ledger.ts';
import { type Awake, wakeUp } from './awake.ts';
import { callHook } from './hooks.ts';
import { demandOf, type ImageFacts } from './image-facts.ts';
import type { JournaledAct } from './journal.ts';
import { vmPaths } from './layout.ts';
import type { ResidentTools } from './resident-tools.ts';
import { Snapshots } from './snapshots.ts';
import { type VmRecord, writeRecord } from './vm-record.ts';

export class Resident {
  readonly record: VmRecord;
  readonly #tools: ResidentTools;
  readonly #image: string;
  readonly #facts: ImageFacts;
  readonly #snapshots: Snapshots;
  #awake: Awake | undefined;
  #busy = false;
  /** Something is being removed that it does not need. */
  #tidying: Promise<void> | undefined;
  #orderGeneration: number;

  constructor(tools: ResidentTools, record: VmRecord, image: string, facts: ImageFacts, generation: number) {
    this.#tools = tools;
    this.record = record;
    this.#image = image;
    this.#facts = facts;
    this.#snapshots = new Snapshots(tools, record.microvmId, image, facts, generation);
    this.#orderGeneration = record.orderGeneration;
  }

  get state(): 'running' | 'asleep' {
    return this.#awake ? 'running' : 'asleep';
  }

  /** It sleeps, and nothing is under way with it. */
  get atRest(): boolean {
    return !this.#awake && !this.#busy && !this.#snapshots.isMerging;
  }

  /** Keeps it asleep as long as `work` takes: whoever wakes it meanwhile waits. Rejects with `conflict` when it does not sleep. */
  async whileAtRest(work: () => Promise<void>): Promise<void> {
    if (this.#busy || this.#awake || this.#tidying) {
      throw new Fault('conflict', { what: `${this.record.microvmId} is not at rest.` });
    }
    this.#tidying = this.#snapshots.rest().then(work);
    await this.#tidying.finally(() => {
      this.#tidying = undefined;
    });
  }

  /** Number of its newest snapshot; 0 before the first. */
  get snapshot(): number {
    return this.#snapshots.generation;
  }

  /** Highest one of an order so far. */
  get orderGeneration(): number {
    return this.#orderGeneration;
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

  /** To be called with each order, before anything is done for it. Throws `conflict` for one that is older than another that was seen. */
  take(orderGeneration: number | undefined): void {
    if (orderGeneration === undefined) return;
    const seen = this.#orderGeneration;
    if (orderGeneration < seen) {
      const what = `The order is stale: it is of generation ${orderGeneration}, and this host has had one of ${seen} for ${this.record.microvmId}.`;
      throw new Fault('conflict', { what });
    }
    this.#orderGeneration = orderGeneration;
  }

  /** A VM of an earlier server runs on, from the newest snapshot. */
  adopt(awake: Awake, orderGeneration: number): void {
    this.#orderGeneration = Math.max(orderGeneration, this.#orderGeneration);
    this.#runs(awake, this.#tools.admission.adopt(demandOf(this.record.buildId, this.#facts)));
  }

  /** From the image, or from the last snapshot. On failure nothing runs; an older snapshot stays good. */
  wake(hook: 'run' | 'resume', hookBody?: string): Promise<LaunchReport> {
    return this.#alone(async () => {
      const { microvmId } = this.record;
      if (this.#awake) throw new Fault('conflict', { what: `${microvmId} already runs.` });
      await this.#snapshots.rest(true);
      const note = (act: JournaledAct, slot?: Slot): Promise<void> => this.#note(act, slot);
      const what = { record: this.record, image: this.#image, facts: this.#facts, snapshots: this.#snapshots };
      try {
        const { awake, room, report } = await wakeUp(this.#tools, { ...what, hook, hookBody, note });
        this.#runs(awake, room);
        return report;
      } catch (error) {
        await this.#tools.journal.clear(microvmId);
        throw error;
      }
    });
  }

  /** On failure it still runs, or, when the VMM was already gone, sleeps at its previous snapshot or has ended. */
  sleep(): Promise<SuspendReport> {
    return this.#alone(async () => {
      const awake = this.#running();
      const { machine, slot } = awake;
      const stopwatch = startStopwatch();
      try {
        await this.#note('sleep', slot);
        if (await callHook(machine, this.#facts.hooks, { hook: 'suspend' })) stopwatch.lap('hook');
        const [result] = await Promise.all([machine.suspend(this.#snapshots.next), this.#keepOrderGeneration()]);
        this.#awake = undefined;
        this.#snapshots.taken(result.bytes);
        this.#release(slot);
        await this.#tools.journal.clear(this.record.microvmId);
        return { stages: { ...stopwatch.stages(), ...result.stages }, asleepBytes: result.bytes };
      } catch (error) {
        if (!(await machine.lives())) this.#lost(awake, { cause: 'vmm_died', what: describe(error) });
        else await this.#noteAnyway('run', slot);
        throw error;
      }
    });
  }

  /** Ends it and removes its files. */
  end(): Promise<void> {
    return this.#alone(async () => {
      await this.#noteAnyway('end');
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

  /** Lets it run on for the next server; what sleeps stays. Resolves with whether it runs. Not to be called while a step is under way. */
  async leave(): Promise<boolean> {
    const awake = this.#awake;
    this.#awake = undefined;
    await this.#snapshots.rest();
    await awake?.machine.leave();
    return awake !== undefined;
  }

  /** Its directory vanishes as a whole or, when this rejects, not at all. */
  async remove(): Promise<void> {
    const { cleaning, journal, layout } = this.#tools;
    await this.#snapshots.rest();
    await cleaning.removeDirectory(vmPaths(layout, this.record.microvmId).directory);
    await journal.clear(this.record.microvmId);
  }

  #note(act: JournaledAct, slot?: Slot): Promise<void> {
    const { microvmId } = this.record;
    const where = slot ? { slot: slot.index } : {};
    const [from, orderGeneration] = [this.#snapshots.generation, this.#orderGeneration];
    return this.#tools.journal.write({ microvmId, act, from, orderGeneration, ...where });
  }

  /** For acts that go on without: what the journal says instead leads to nothing worse than doing them again. */
  async #noteAnyway(act: 'run' | 'end', slot?: Slot): Promise<void> {
    await this.#note(act, slot).catch((error: unknown) => {
      this.#tools.log.warn('not_journaled', { microvmId: this.record.microvmId, act, why: describe(error) });
    });
  }

  /** While it sleeps no journal knows it. A failure costs nothing but the refusal of orders that are older than that. */
  async #keepOrderGeneration(): Promise<void> {
    if (this.record.orderGeneration === this.#orderGeneration) return;
    this.record.orderGeneration = this.#orderGeneration;
    await writeRecord(this.#tools.layout, this.record).catch((error: unknown) => {
      this.#tools.log.warn('record_not_written', { microvmId: this.record.microvmId, why: describe(error) });
    });
  }

  #runs(awake: Awake, room: Hold): void {
    this.#awake = awake;
    awake.machine.onStall((stalled) => this.#onStall(stalled));
    void awake.machine.ended.then((end) => {
      room.release();
      this.#onMachineEnd(awake, end);
    });
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
      await this.#tidying?.catch(() => {});
      return await step();
    } finally {
      this.#busy = false;
    }
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

  #onMachineEnd(awake: Awake, { cause, what, consoleTail }: MachineEnd): void {
    if (this.#awake !== awake || cause === 'requested') return;
    this.#tools.log.warn('microvm_last_words', { microvmId: this.record.microvmId, consoleTail });
    this.#lost(awake, { cause, what });
  }

  /** It ended without having been asked. A snapshot outlives the VMM's death; an application's or a guest's own end is the MicroVM's. */
  #lost(awake: Awake, reason: EndReason): void {
    if (this.#awake !== awake) return;
    const { microvmId } = this.record;
    this.#awake = undefined;
    const isAsleep = reason.cause === 'vmm_died' && this.#snapshots.newest !== undefined;
    // Before the slot, and with it the relay's address, can become another's: nobody may dial it any more.
    this.#tools.onEnded(microvmId, reason, isAsleep);
    this.#release(awake.slot);
    if (isAsleep) {
      this.#tools.journal.clear(microvmId).catch(() => {});
      // Whoever wakes it waits for that: the next layer may have the same name.
      this.#tidying = this.#snapshots.dropStrayLayers().finally(() => {
        this.#tidying = undefined;
      });
    } else void this.#tools.cleaning.attempt(`MicroVM ${microvmId}, which has ended`, () => this.remove());
  }
}

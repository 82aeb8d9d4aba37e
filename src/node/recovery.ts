// What an earlier server left on this host, whatever it was doing when it ended. Per MicroVM the journal, its directory and its VMM are compared:
// - it ran, was being put to sleep or not, and has no newer snapshot than the one it ran from: its VMM is adopted, and goes on;
// - it has a newer snapshot: its sleep had been committed, and what is left of its VMM is ended;
// - it was being launched, woken or ended: what runs of it is ended; it is asleep at its snapshot or, without one, nothing is left of it;
// - it has no journal: nothing of it runs, as after the host's next boot.
// A crash during recovery only means that it is done again. All of this is done in the background, and for many at a time.
import { join } from 'node:path';
import { readImageRecord } from '../build/image-record.ts';
import { describe, Fault } from '../lib/errors.ts';
import { forEachOf } from '../lib/parallel.ts';
import type { Slot } from '../net/slot.ts';
import { adoptVm, Lost } from './adopt-vm.ts';
import { clearAsides } from './asides.ts';
import { type Found, findMicrovm, whyGone } from './found.ts';
import { unknownImage } from './image-facts.ts';
import type { JournalEntry } from './journal.ts';
import { vmPaths } from './layout.ts';
import { Resident } from './resident.ts';
import type { ResidentTools } from './resident-tools.ts';
import { removeOlderSnapshots, type VmRecord } from './vm-record.ts';

/** How many MicroVMs are looked at, or taken over, at a time. */
const parallel = 8;

/** By name: which MicroVMs there is something of. */
export interface Traces {
  directories: readonly string[];
  journal: readonly string[];
}

/** One whose VM is to go on. */
interface Candidate extends Found {
  entry: JournalEntry;
  record: VmRecord;
  slot: Slot | undefined;
}

export class Recovery {
  /** Resolves when the VMs and files of interrupted builds are gone, or listed as what could not be removed. */
  readonly buildsCleared: Promise<void>;
  /** Resolves when every VM that may go on has been taken over. Never rejects. */
  readonly adopted: Promise<void>;
  readonly #tools: ResidentTools;
  readonly #residents: Map<string, Resident>;
  readonly #pending = new Map<string, PromiseWithResolvers<string | undefined>>();
  readonly #lost = new Map<string, string>();
  /** Paths that are not swept. */
  readonly #keep: Set<string>;

  /** Starts at once; what lives becomes a resident. */
  constructor(tools: ResidentTools, residents: Map<string, Resident>, { directories, journal }: Traces) {
    this.#tools = tools;
    this.#residents = residents;
    this.#keep = new Set([tools.layout.journal]);
    for (const microvmId of [...directories, ...journal]) this.#pending.set(microvmId, Promise.withResolvers());
    const { promise: swept, resolve: onSwept } = Promise.withResolvers<void>();
    this.adopted = this.#run(directories, journal, onSwept).catch((error: unknown) => this.#stop(error));
    this.buildsCleared = Promise.all([swept, clearAsides(tools)]).then(() => {});
  }

  /** MicroVMs of which nothing is known yet. */
  get pending(): string[] {
    return [...this.#pending.keys()];
  }

  isPending(microvmId: string): boolean {
    return this.#pending.has(microvmId);
  }

  /** As `NodeClient.settled`. */
  settled(microvmId: string): Promise<string | undefined> {
    return this.#pending.get(microvmId)?.promise ?? Promise.resolve(this.#lost.get(microvmId));
  }

  async #run(directories: readonly string[], journal: readonly string[], onSwept: () => void): Promise<void> {
    const candidates: Candidate[] = [];
    const others: Found[] = [];
    await forEachOf(parallel, journal, async (microvmId) => {
      const found = await findMicrovm(this.#tools, microvmId);
      const candidate = await this.#candidate(found);
      if (candidate) candidates.push(candidate);
      else others.push(found);
    });
    const { slots, cleaning, layout } = this.#tools;
    if (slots) void cleaning.attempt('Network slots of an earlier server', () => slots.sweep());
    for (const { microvmId } of candidates) this.#keep.add(vmPaths(layout, microvmId).run);
    const stop = (error: unknown): void => this.#stop(error);
    const swept = this.#sweep(() => {
      onSwept();
      this.#settleGone(others).catch(stop);
    });
    swept.then(onSwept, onSwept);
    swept.then(() => this.#settleAll(others.splice(0))).catch(stop);
    // Nothing runs without having been in the journal before: these need not wait for anything.
    const resting = directories.filter((microvmId) => !journal.includes(microvmId));
    forEachOf(parallel, resting, async (microvmId) =>
      this.#settle(await findMicrovm(this.#tools, microvmId), undefined),
    ).catch(stop);
    await forEachOf(parallel, candidates, (candidate) => this.#takeOver(candidate));
  }

  /** A VMM that cannot be ended keeps its own MicroVM waiting, and no other: takes those out of `others` of which nothing runs. */
  async #settleGone(others: Found[]): Promise<void> {
    const { driver, layout } = this.#tools;
    const left = new Set((await driver.sweep(layout.run, this.#keep, { dryRun: true })).map((one) => one.runDirectory));
    const [still, gone] = [others.filter(isLeft), others.filter((found) => !isLeft(found))];
    others.splice(0, others.length, ...still);
    await this.#settleAll(gone);

    function isLeft({ microvmId }: Found): boolean {
      return left.has(vmPaths(layout, microvmId).run);
    }
  }

  #settleAll(founds: readonly Found[]): Promise<void> {
    return forEachOf(parallel, founds, (found) => this.#settle(found, whyGone(found)));
  }

  /** With its slot, which is not swept then. */
  async #candidate({ microvmId, entry, record, newest }: Found): Promise<Candidate | undefined> {
    if (!record || !entry || (entry.act !== 'run' && entry.act !== 'sleep') || newest !== entry.from) return undefined;
    const { slots, log } = this.#tools;
    try {
      const slot = entry.slot === undefined ? undefined : await slots?.adopt(entry.slot);
      return { microvmId, entry, record, newest, slot };
    } catch (error) {
      log.warn('slot_not_adopted', { microvmId, slot: entry.slot, why: describe(error) });
      return undefined;
    }
  }

  /** Resolves when nothing of earlier servers runs but what is kept. */
  async #sweep(onFailed?: () => void): Promise<void> {
    const { driver, layout, cleaning, log } = this.#tools;
    const sweep = (): ReturnType<typeof driver.sweep> => driver.sweep(layout.run, this.#keep);
    const swept = await cleaning.untilDone('VMMs of an earlier server', sweep, onFailed);
    for (const { runDirectory, pid } of swept) log.warn('ended_leftover_vmm', { runDirectory, pid });
  }

  async #takeOver({ slot, ...found }: Candidate): Promise<void> {
    const { record, entry, newest, microvmId } = found;
    const machine = await adoptVm(this.#tools, record, newest, slot);
    if (machine instanceof Lost) {
      // What does not end keeps only those waiting who ask for this MicroVM, and no server from stopping.
      const gone = machine.lives ? this.#end(microvmId) : Promise.resolve();
      const settled = gone.then(() => slot?.release().catch(() => {})).then(() => this.#settle(found, machine.why));
      settled.catch((error: unknown) => this.#stop(error));
      return;
    }
    const resident = await this.#resident(record, newest);
    resident.adopt({ machine, slot }, entry.orderGeneration);
    this.#tools.log.info('microvm_adopted', { microvmId, pid: machine.pid });
    this.#done(microvmId, undefined);
  }

  /** Resolves when nothing of it runs any more. */
  #end(microvmId: string): Promise<void> {
    this.#keep.delete(vmPaths(this.#tools.layout, microvmId).run);
    return this.#sweep();
  }

  /** Nothing of it runs. `lost`: why that is so although it ran or was about to. */
  async #settle(
    { microvmId, record, newest, entry, unreadable, isForeign }: Found,
    lost: string | undefined,
  ): Promise<void> {
    const { log, journal, layout } = this.#tools;
    const forgetting = async (why: string | undefined): Promise<void> => {
      await journal.clear(microvmId).catch((error: unknown) => {
        log.warn('not_journaled', { microvmId, why: describe(error) });
      });
      this.#done(microvmId, why);
    };
    // Nothing is removed that may be good.
    if (unreadable !== undefined) return forgetting(`What the host has of it cannot be read: ${unreadable}`);
    if (isForeign) {
      log.warn('not_a_microvm', { path: vmPaths(layout, microvmId).directory });
      return forgetting(undefined);
    }
    if (newest === 0 || entry?.act === 'end') {
      // What resists is tried for as long as it takes, and the others do not wait for it.
      void this.#remove(microvmId)
        .then(() => forgetting(lost))
        .catch((error: unknown) => this.#stop(error));
      return;
    }
    if (record) {
      const resident = await this.#resident(record, newest);
      resident.take(Math.max(entry?.orderGeneration ?? 0, record.orderGeneration));
      return forgetting(lost);
    }
    // Its snapshots are kept for whoever can make sense of them.
    const { record: file } = vmPaths(layout, microvmId);
    log.error('microvm_record_damaged', { microvmId, file });
    return forgetting(`The host's record of it, ${file}, cannot be read.`);
  }

  async #remove(microvmId: string): Promise<void> {
    const { cleaning, layout, log } = this.#tools;
    const { directory } = vmPaths(layout, microvmId);
    log.warn('removed_half_made_microvm', { microvmId });
    await cleaning.untilDone(directory, () => cleaning.removeDirectory(directory));
  }

  async #resident(record: VmRecord, newest: number): Promise<Resident> {
    const { layout, log } = this.#tools;
    const { microvmId, buildId } = record;
    await removeOlderSnapshots(layout, microvmId, newest).catch((error: unknown) => {
      log.warn('older_snapshots_not_removed', { microvmId, why: describe(error) });
    });
    const image = join(layout.images, buildId);
    const facts = await readImageRecord(image).catch(() => unknownImage);
    const resident = new Resident(this.#tools, record, image, facts, newest);
    this.#residents.set(microvmId, resident);
    return resident;
  }

  #done(microvmId: string, lost: string | undefined): void {
    if (lost !== undefined) this.#lost.set(microvmId, lost);
    this.#pending.get(microvmId)?.resolve(lost);
    this.#pending.delete(microvmId);
  }

  /** On the way down only: what is left is the next start's. */
  #stop(cause: unknown): void {
    this.#tools.log.warn('recovery_stopped', { why: describe(cause) });
    for (const { promise, reject } of this.#pending.values()) {
      promise.catch(() => {});
      reject(new Fault('aborted', { what: 'Recovering the MicroVM' }, cause));
    }
  }
}

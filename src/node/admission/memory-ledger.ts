// What this host's memory is promised to. A promise is made before anything starts and given back when it is gone, so that no race promises more than
// there is.
import type { Clock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import { WaitingLine } from '../../lib/waiting-line.ts';

export interface MemoryDemand {
  /** For this VM alone. */
  mib: number;
  /** Memory that all VMs of one image share: counted once, as long as one of them runs. */
  shared?: { id: string; mib: number };
}

/** A promise that was made. */
export interface Hold {
  /** Idempotent. */
  release(): void;
}

export function releaseOnce(giveBack: () => void): Hold {
  let held = true;
  return {
    release() {
      if (!held) return;
      held = false;
      giveBack();
    },
  };
}

export class MemoryLedger {
  readonly offeredMib: number;
  readonly #line: WaitingLine<Hold, MemoryDemand>;
  /** How many hold the shared memory of this name. */
  readonly #sharers = new Map<string, number>();
  #committedMib = 0;

  constructor(offeredMib: number, clock: Clock) {
    this.offeredMib = offeredMib;
    this.#line = new WaitingLine(clock, 'The wait for memory');
  }

  get committedMib(): number {
    return this.#committedMib;
  }

  get waiting(): number {
    return this.#line.length;
  }

  /** Throws `capacity_exhausted`. Those who wait are served first. */
  hold(demand: MemoryDemand): Hold {
    this.check(demand);
    return this.#take(demand);
  }

  /** For what is there already: even beyond what is offered. */
  holdAnyway(demand: MemoryDemand): Hold {
    return this.#take(demand);
  }

  /** Throws `capacity_exhausted` when `hold` would, even if `expectedMib` more were free. */
  check(demand: MemoryDemand, expectedMib = 0): void {
    if (this.#cost(demand) + this.#promisedMib > this.#freeMib + expectedMib) throw this.#refusal(demand);
  }

  /** Waits for room. Rejects with `capacity_exhausted` after `timeoutMs`, and at once when there will never be enough. */
  async waitFor(demand: MemoryDemand, timeoutMs: number, signal?: AbortSignal): Promise<Hold> {
    if (this.#line.length === 0 && this.#cost(demand) <= this.#freeMib) return this.#take(demand);
    if (this.#cost(demand) > this.offeredMib) throw this.#refusal(demand);
    const late = (): Fault =>
      this.#refusal(demand, `It waited ${timeoutMs / 1000} s for others to end or fall asleep.`);
    try {
      return await this.#line.wait(timeoutMs, late, { signal, wanted: demand });
    } catch (error) {
      // Whoever gave up may have been in the way of a smaller one.
      this.#serve();
      throw error;
    }
  }

  close(): void {
    this.#line.close(new Fault('aborted', { what: 'The wait for memory' }));
  }

  get #freeMib(): number {
    return this.offeredMib - this.#committedMib;
  }

  /** To those who wait. */
  get #promisedMib(): number {
    return this.#line.places.reduce((sum, { wanted }) => sum + (wanted?.mib ?? 0), 0);
  }

  #cost({ mib, shared }: MemoryDemand): number {
    return mib + (shared && !this.#sharers.has(shared.id) ? shared.mib : 0);
  }

  #take(demand: MemoryDemand): Hold {
    const { mib, shared } = demand;
    this.#committedMib += this.#cost(demand);
    if (shared) this.#sharers.set(shared.id, (this.#sharers.get(shared.id) ?? 0) + 1);
    return releaseOnce(() => {
      this.#committedMib -= mib;
      if (shared) this.#leave(shared);
      this.#serve();
    });
  }

  #leave({ id, mib }: NonNullable<MemoryDemand['shared']>): void {
    const left = (this.#sharers.get(id) ?? 1) - 1;
    if (left > 0) {
      this.#sharers.set(id, left);
      return;
    }
    this.#sharers.delete(id);
    this.#committedMib -= mib;
  }

  /** First come, first served: a large one is not overtaken by small ones for ever. */
  #serve(): void {
    for (;;) {
      const demand = this.#line.places[0]?.wanted;
      if (!demand || this.#cost(demand) > this.#freeMib) return;
      this.#line.give(this.#take(demand));
    }
  }

  #refusal(demand: MemoryDemand, waited = ''): Fault {
    const { offeredMib } = this;
    const [committedMib, neededMib, promisedMib] = [this.#committedMib, this.#cost(demand), this.#promisedMib];
    const promised = promisedMib > 0 ? `, and ${promisedMib} MiB are promised to MicroVMs that wake` : '';
    const never = neededMib > offeredMib;
    const what = [
      `This host has no memory left for that: ${neededMib} MiB are needed; of ${offeredMib} MiB for MicroVMs and builds`,
      `${committedMib} MiB are committed, ${offeredMib - committedMib} MiB are free${promised}.`,
      ...(waited ? [waited] : []),
      never ? 'Ask for a smaller size, or raise --memory.' : 'Suspend or terminate MicroVMs, or raise --memory.',
    ].join(' ');
    return new Fault('capacity_exhausted', { what, neededMib, committedMib, offeredMib });
  }
}

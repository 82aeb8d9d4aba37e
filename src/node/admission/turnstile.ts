// How many VMs start at the same time: so few that the machine stays responsive. Wakes go before launches, launches before builds; within a rank
// accounts take turns, so that the burst of one costs another one turn at most. Where nobody waits, nobody is held up.
import type { Clock, Timer } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import { WaitingLine } from '../../lib/waiting-line.ts';

export type Rank = 'wake' | 'launch' | 'build';

const ranks: readonly Rank[] = ['wake', 'launch', 'build'];

/** How long the wait for a turn may be. Whoever launches or builds does not wait for the answer. */
const patienceMs: Record<Rank, number> = { wake: 30_000, launch: 300_000, build: 900_000 };

/** A VM that takes longer to start waits more than it works: a guest cannot keep others from theirs by being slow. */
const longestTurnMs = 10_000;

/** Every so many turns one goes to whoever has waited longest, so that no rank starves. */
const ageEvery = 4;

interface Lane {
  readonly rank: Rank;
  readonly account: string;
  readonly line: WaitingLine<void>;
}

export class Turnstile {
  readonly parallel: number;
  readonly #clock: Clock;
  /** Those in which somebody waits or has waited; the one that was served last stands last. */
  #lanes: Lane[] = [];
  readonly #starting = new Map<string, number>();
  #taken = 0;
  #given = 0;

  constructor(parallel: number, clock: Clock) {
    this.parallel = parallel;
    this.#clock = clock;
  }

  get waiting(): number {
    return this.#lanes.reduce((sum, { line }) => sum + line.length, 0);
  }

  /** Does `work` when its turn comes. Rejects with `capacity_exhausted` when that takes too long, or with `aborted`. */
  async run<T>(rank: Rank, account: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.#taken < this.parallel && this.waiting === 0) this.#take(account);
    else await this.#wait(rank, account, signal);
    const leave = this.#leaveOnce(account);
    const timer: Timer = this.#clock.after(longestTurnMs, leave);
    try {
      return await work();
    } finally {
      timer.cancel();
      leave();
    }
  }

  close(): void {
    for (const { line } of this.#lanes) line.close(new Fault('aborted', { what: 'The wait for a turn' }));
  }

  /** Resolves when the turn has been taken for it. */
  async #wait(rank: Rank, account: string, signal: AbortSignal | undefined): Promise<void> {
    const lane = this.#lane(rank, account);
    const late = (): Fault => {
      const what = [
        `The ${rank} waited ${patienceMs[rank] / 1000} s for its turn: this host starts ${this.parallel} at the same time,`,
        `and ${this.waiting} wait for that. Try again when there is less to start, or raise --parallel-launches.`,
      ].join(' ');
      return new Fault('capacity_exhausted', { what });
    };
    await lane.line.wait(patienceMs[rank], late, { signal });
  }

  #lane(rank: Rank, account: string): Lane {
    const found = this.#lanes.find((lane) => lane.rank === rank && lane.account === account);
    if (found) return found;
    const made = { rank, account, line: new WaitingLine<void>(this.#clock, 'The wait for a turn') };
    this.#lanes.push(made);
    return made;
  }

  #take(account: string): void {
    this.#taken++;
    this.#starting.set(account, this.#startingOf(account) + 1);
  }

  #leaveOnce(account: string): () => void {
    let inside = true;
    return () => {
      if (!inside) return;
      inside = false;
      this.#taken--;
      const left = this.#startingOf(account) - 1;
      if (left > 0) this.#starting.set(account, left);
      else this.#starting.delete(account);
      this.#serve();
    };
  }

  #startingOf(account: string): number {
    return this.#starting.get(account) ?? 0;
  }

  #serve(): void {
    while (this.#taken < this.parallel) {
      this.#lanes = this.#lanes.filter(({ line }) => line.length > 0);
      const lane = this.#next();
      if (!lane) return;
      this.#lanes = [...this.#lanes.filter((other) => other !== lane), lane];
      this.#take(lane.account);
      lane.line.give(undefined);
    }
  }

  #next(): Lane | undefined {
    if (this.#lanes.length === 0) return undefined;
    this.#given++;
    if (this.#given % ageEvery === 0) return least(this.#lanes, ({ line }) => line.places[0]?.sinceMs ?? 0);
    const rank = ranks.find((one) => this.#lanes.some((lane) => lane.rank === one));
    const lanes = this.#lanes.filter((lane) => lane.rank === rank);
    return least(lanes, ({ account }) => this.#startingOf(account));
  }
}

/** The first of those with the smallest number. */
function least<T>(all: readonly T[], number: (one: T) => number): T | undefined {
  return all.reduce<T | undefined>(
    (best, one) => (best === undefined || number(one) < number(best) ? one : best),
    undefined,
  );
}

// A rate that several threads keep to together, in one shared cell: the generic cell rate algorithm (ITU-T I.371). The cell holds the
// theoretical arrival time, when what has been counted so far would be through at exactly the rate; nothing refills it, and nobody owns it.

/** Of the monotonic clock that all threads of a process share, in nanoseconds. */
export type MonotonicClock = () => bigint;

export const monotonicClock: MonotonicClock = () => process.hrtime.bigint();

const nsPerSecond = 1e9;
const nsPerMs = 1e6;

export class Gcra {
  readonly #cells: BigInt64Array<SharedArrayBuffer>;
  readonly #cell: number;
  readonly #now: MonotonicClock;
  readonly #nsEach: number;
  readonly #toleranceNs: bigint;

  /** `burst`: how many may come at once before the rate holds them. */
  constructor(
    cells: BigInt64Array<SharedArrayBuffer>,
    cell: number,
    rate: { perSecond: number; burst: number },
    now: MonotonicClock = monotonicClock,
  ) {
    this.#cells = cells;
    this.#cell = cell;
    this.#now = now;
    this.#nsEach = nsPerSecond / rate.perSecond;
    this.#toleranceNs = BigInt(Math.round(this.#nsEach * rate.burst));
  }

  /** Counts `count` in any case. Returns after how many milliseconds it is within the rate; 0 when it is now. */
  spend(count: number): number {
    return Math.max(0, this.#advance(count, false));
  }

  /** 0 when one is within the rate: then it is counted. Otherwise the milliseconds until one would be. */
  take(): number {
    return Math.max(0, this.#advance(1, true));
  }

  /** Returns by how many milliseconds this is too early. */
  #advance(count: number, onlyWithin: boolean): number {
    const nowNs = this.#now();
    const costNs = BigInt(Math.round(this.#nsEach * count));
    for (;;) {
      const arrival = Atomics.load(this.#cells, this.#cell);
      let next = arrival + costNs;
      if (arrival < nowNs) next = nowNs + costNs;
      const early = next - nowNs - this.#toleranceNs;
      if (onlyWithin && early > 0n) return Number(early) / nsPerMs;
      // Another thread may have been faster.
      if (Atomics.compareExchange(this.#cells, this.#cell, arrival, next) === arrival) return Number(early) / nsPerMs;
    }
  }
}

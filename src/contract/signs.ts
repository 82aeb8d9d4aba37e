// The signs of life of one MicroVM, in memory that all threads share: the gateway's threads write down what they do for it, and the
// thread that decides about its sleep writes down whether it runs. Nobody sends or awaits anything for that.
//
// No request is lost between the two, because each side writes first and looks then, and Atomics put all of it into one order:
// - a request counts itself (`begin`) and then looks whether the MicroVM runs (`runs`);
// - who puts it to sleep says that it does not run any more (`stop`) and then looks whether a request was counted (`activity`).
// At least one of them sees the other: the request waits for the wake, or the sleep is called off. `activity` is the last that a request
// writes, so that whoever has seen it change sees the rest too.
import type { Clock } from '../lib/clock.ts';

/** One request or connection under way. While it is open in profile `open` the MicroVM is not idle. */
export interface Activity {
  /** Bytes came in. */
  touch(): void;
  end(): void;
}

/** Threads that may count. */
export const maxCounters = 64;

// Cells of 32 bits, then of 64 bits, then a pair of 32 bits for each counter: requests under way, and connections of clients.
const runsCell = 0;
const wakingTimeCell = 1;
const activityCell = 2;
const lastActivityCell = 2;
const bytesCell = 3;
const requestsCell = 4;
const countersFrom = 10;
const cellsEach = 2;
const totalBytes = (countersFrom + maxCounters * cellsEach) * Int32Array.BYTES_PER_ELEMENT;

/** Who counts: one for each thread. */
export interface Counter {
  /** 0 to `maxCounters` - 1; no two threads that live at the same time have the same one. */
  index: number;
  clock: Pick<Clock, 'elapsed'>;
  /** Whether the end of a request counts as activity. */
  endIsActivity: boolean;
}

export class Signs {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Int32Array<SharedArrayBuffer>;
  readonly #times: BigInt64Array<SharedArrayBuffer>;

  /** New ones, or another view of those in `buffer`. */
  constructor(buffer = new SharedArrayBuffer(totalBytes)) {
    this.buffer = buffer;
    this.#cells = new Int32Array(buffer);
    this.#times = new BigInt64Array(buffer);
  }

  get runs(): boolean {
    return Atomics.load(this.#cells, runsCell) === 1;
  }

  /** As in `WakingTime.number`; 0 when there is none: what its relay was may be another MicroVM's then. */
  get wakingTime(): number {
    return Atomics.load(this.#cells, wakingTimeCell);
  }

  /** Changes with every sign of activity. */
  get activity(): number {
    return Atomics.load(this.#cells, activityCell);
  }

  /** As `Clock.elapsed` has it. */
  get lastActivityMs(): number {
    return Number(Atomics.load(this.#times, lastActivityCell));
  }

  /** Requests and connections under way, of all threads. */
  get inFlight(): number {
    let sum = 0;
    for (let index = 0; index < maxCounters; index++) sum += Atomics.load(this.#cells, cellOf(index));
    return sum;
  }

  /** Cells for `Gcra`: of the bandwidth and the request rate of its endpoint. */
  get rates(): { cells: BigInt64Array<SharedArrayBuffer>; bytesCell: number; requestsCell: number } {
    return { cells: this.#times, bytesCell, requestsCell };
  }

  /** Counts a connection of a client. Returns how many there are now, of all threads. */
  connect(index: number): number {
    Atomics.add(this.#cells, connectionsOf(index), 1);
    return this.connections;
  }

  disconnect(index: number): void {
    Atomics.sub(this.#cells, connectionsOf(index), 1);
  }

  get connections(): number {
    let sum = 0;
    for (let index = 0; index < maxCounters; index++) sum += Atomics.load(this.#cells, connectionsOf(index));
    return sum;
  }

  /** A waking time begins, and its idle time with it. */
  wake(wakingTime: number, elapsedMs: number): void {
    Atomics.store(this.#cells, wakingTimeCell, wakingTime);
    this.goOn(elapsedMs);
  }

  /** It is about to be put to sleep. May be called off by `goOn`. */
  stop(): void {
    Atomics.store(this.#cells, runsCell, 0);
  }

  goOn(elapsedMs: number): void {
    Atomics.store(this.#times, lastActivityCell, BigInt(elapsedMs));
    Atomics.store(this.#cells, runsCell, 1);
  }

  /** The waking time is over. Before anything that its relay's address depends on is given back. */
  leave(): void {
    this.stop();
    Atomics.store(this.#cells, wakingTimeCell, 0);
  }

  /** Counts a request. */
  begin(by: Counter): Activity {
    Atomics.add(this.#cells, cellOf(by.index), 1);
    this.#touch(by.clock.elapsed());
    let open = true;
    return {
      touch: () => this.#touch(by.clock.elapsed()),
      end: () => {
        if (!open) return;
        open = false;
        if (by.endIsActivity) this.#touch(by.clock.elapsed());
        Atomics.sub(this.#cells, cellOf(by.index), 1);
      },
    };
  }

  /** The thread with this counter is gone, and what it had under way with it. */
  forget(index: number): void {
    Atomics.store(this.#cells, cellOf(index), 0);
    Atomics.store(this.#cells, connectionsOf(index), 0);
  }

  #touch(elapsedMs: number): void {
    Atomics.store(this.#times, lastActivityCell, BigInt(elapsedMs));
    Atomics.add(this.#cells, activityCell, 1);
  }
}

/** Of the requests that a thread has under way. */
const cellOf = (index: number): number => countersFrom + index * cellsEach;
const connectionsOf = (index: number): number => cellOf(index) + 1;

// The limits of one MicroVM's endpoint, kept by all threads of the gateway together. Reference f.8.
import { Gcra, type MonotonicClock } from '../lib/gcra.ts';
import type { EndpointLimits, Rate } from './limits.ts';
import type { Signs } from './signs.ts';

/** What may pass at once after a rest, in seconds of the rate: small answers are not slowed down. */
const bytesBurstSeconds = 0.1;
const requestsBurstSeconds = 1;

export class Limiter {
  readonly #signs: Signs;
  readonly #counter: number;
  readonly #connections: Rate;
  readonly #bytes: Gcra | undefined;
  readonly #requests: Gcra | undefined;

  /** `counter`: of the thread that counts connections here. */
  constructor(signs: Signs, limits: EndpointLimits, counter: number, now?: MonotonicClock) {
    const { bytesPerSecond, requestsPerSecond, connections } = limits;
    this.#signs = signs;
    this.#counter = counter;
    this.#connections = connections;
    const { cells, bytesCell, requestsCell } = signs.rates;
    const rate = (cell: number, perSecond: Rate, seconds: number): Gcra | undefined =>
      perSecond === 'unlimited' ? undefined : new Gcra(cells, cell, { perSecond, burst: perSecond * seconds }, now);
    this.#bytes = rate(bytesCell, bytesPerSecond, bytesBurstSeconds);
    this.#requests = rate(requestsCell, requestsPerSecond, requestsBurstSeconds);
  }

  get limitsBytes(): boolean {
    return this.#bytes !== undefined;
  }

  /** Counts bytes of either direction. Returns after how many milliseconds they may go on. */
  bytes(count: number): number {
    return this.#bytes?.spend(count) ?? 0;
  }

  /** Counts a request and returns 0, or the milliseconds until one may come. */
  request(): number {
    return this.#requests?.take() ?? 0;
  }

  /** Counts a connection unless there are too many. Each that was counted is to be given back by `disconnect`, once. */
  connect(): boolean {
    // Counted first: of threads that come at once, none sees the others too late. At the last place they may see each other too early.
    const count = this.#signs.connect(this.#counter);
    if (this.#connections === 'unlimited' || count <= this.#connections) return true;
    this.disconnect();
    return false;
  }

  disconnect(): void {
    this.#signs.disconnect(this.#counter);
  }
}

/** Whether there is anything to keep to. */
export const areLimited = ({ bytesPerSecond, requestsPerSecond, connections }: EndpointLimits): boolean =>
  [bytesPerSecond, requestsPerSecond, connections].some((limit) => limit !== 'unlimited');

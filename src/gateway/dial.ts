// Opens byte streams to applications. Right after a launch or resume the listener may refuse for a moment: then it is tried again.
import type { Duplex } from 'node:stream';
import type { DataPlane } from '../contract/data-plane.ts';
import type { StreamTarget } from '../contract/shell-frames.ts';
import type { Clock } from '../lib/clock.ts';
import { Fault, isFault } from '../lib/errors.ts';
import { MeteredStream } from './metered-stream.ts';

const retryEveryMs = 20;

export interface DialerOptions {
  dataPlane: DataPlane;
  clock: Clock;
  /** How long after `settling` refusals are tried again. */
  settleMs: number;
  /** For one attempt. */
  connectTimeoutMs: number;
}

export class Dialer {
  readonly #options: DialerOptions;
  /** When each running MicroVM was first seen awake; those that left are forgotten. */
  readonly #awakeSinceMs = new Map<string, number>();

  constructor(options: DialerOptions) {
    this.#options = options;
  }

  /** Notes that the MicroVM runs. */
  sawAwake(microvmId: string): void {
    if (!this.#awakeSinceMs.has(microvmId)) this.#awakeSinceMs.set(microvmId, this.#options.clock.elapsed());
  }

  left(microvmId: string): void {
    this.#awakeSinceMs.delete(microvmId);
  }

  /** Rejects as `DataPlane.open` does, or with `aborted` or `deadline_exceeded`. */
  async dial(microvmId: string, target: StreamTarget, signal: AbortSignal): Promise<Duplex> {
    const { clock, settleMs } = this.#options;
    for (;;) {
      try {
        return await this.#attempt(microvmId, target, signal);
      } catch (error) {
        const sinceMs = this.#awakeSinceMs.get(microvmId) ?? Number.NEGATIVE_INFINITY;
        if (!isFault(error, 'guest_failed') || clock.elapsed() - sinceMs >= settleMs) throw error;
        await sleep(clock, retryEveryMs, signal);
      }
    }
  }

  async #attempt(microvmId: string, target: StreamTarget, signal: AbortSignal): Promise<Duplex> {
    const { dataPlane, clock, connectTimeoutMs } = this.#options;
    const late = new AbortController();
    const timer = clock.after(connectTimeoutMs, () => late.abort());
    const both = AbortSignal.any([signal, late.signal]);
    try {
      const duplex = await dataPlane.open(microvmId, target, both);
      if (!both.aborted) {
        const limiter = dataPlane.limiter(microvmId);
        return limiter?.limitsBytes ? new MeteredStream(duplex, limiter, clock) : duplex;
      }
      // The data plane answered after it had been told to stop: nobody else would close this stream.
      duplex.on('error', () => {}).destroy();
      throw new Fault('aborted', { what: 'The connection' });
    } catch (error) {
      if (!late.signal.aborted || signal.aborted) throw error;
      throw new Fault('deadline_exceeded', { what: 'The connection to the application', ms: connectTimeoutMs }, error);
    } finally {
      timer.cancel();
    }
  }
}

function sleep(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      timer.cancel();
      reject(new Fault('aborted', { what: 'The wait for the application' }));
    };
    const timer = clock.after(ms, () => {
      signal.removeEventListener('abort', stop);
      resolve();
    });
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

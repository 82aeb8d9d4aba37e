// What has to go away and may not do so at once: tried again with pauses that grow, and listed until it is gone. Nobody waits for more than the
// first attempt unless it matters to them.
import type { Leftover } from '../contract/node-api.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { moveIntoPlace, remove } from '../lib/durable-file.ts';
import { describe, Fault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { isMissing } from '../lib/read-file.ts';
import { removedName } from './names.ts';

const firstPauseMs = 1000;
const longestPauseMs = 300_000;

export class Cleaning {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #leftovers = new Set<Leftover>();
  readonly #timers = new Set<Timer>();
  #closed: Fault | undefined;
  readonly #giveUps = new Set<(why: Fault) => void>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  get leftovers(): Leftover[] {
    return [...this.#leftovers].map((leftover) => ({ ...leftover }));
  }

  /** Does `work` until it succeeds, and resolves as it does then. Rejects with `aborted` when it has failed and `close` was called, and never else. `what` names it for people; `onFailed` hears of every attempt that failed. */
  untilDone<T>(what: string, work: () => Promise<T>, onFailed = (): void => {}): Promise<T> {
    return this.#repeat(what, work, onFailed);
  }

  /** Resolves after the first attempt. Never rejects. */
  attempt(what: string, work: () => Promise<unknown>): Promise<void> {
    return new Promise((resolve) => {
      this.#repeat(what, work, resolve).then(
        () => resolve(),
        () => resolve(),
      );
    });
  }

  /**
   * A directory vanishes at once and as a whole, and what was in it after that. Rejects when even the former fails: then nothing has changed. Missing is
   * no failure.
   */
  async removeDirectory(path: string): Promise<void> {
    const aside = removedName(path);
    try {
      await moveIntoPlace(path, aside);
    } catch (error) {
      if (isMissing(error)) return;
      throw error;
    }
    await this.attempt(aside, () => remove(aside));
  }

  /** Ends all pauses; what is left then is the next start's. */
  close(): void {
    this.#closed = new Fault('aborted', { what: 'Cleaning up' });
    for (const timer of this.#timers) timer.cancel();
    for (const giveUp of this.#giveUps) giveUp(this.#closed);
  }

  async #repeat<T>(what: string, work: () => Promise<T>, onFailed: () => void): Promise<T> {
    const leftover: Leftover = { what, why: '', attempts: 0, sinceMs: this.#clock.steady() };
    try {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          this.#note(leftover, describe(error));
        }
        onFailed();
        await this.#pause(Math.min(longestPauseMs, firstPauseMs * 2 ** (leftover.attempts - 1)));
      }
    } finally {
      this.#leftovers.delete(leftover);
    }
  }

  #note(leftover: Leftover, why: string): void {
    leftover.why = why;
    leftover.attempts += 1;
    this.#leftovers.add(leftover);
    this.#log.warn('not_cleaned', { what: leftover.what, why, attempts: leftover.attempts });
  }

  async #pause(ms: number): Promise<void> {
    if (this.#closed) throw this.#closed;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = this.#clock.after(ms, resolve);
    this.#timers.add(timer);
    this.#giveUps.add(reject);
    await promise.finally(() => {
      this.#timers.delete(timer);
      this.#giveUps.delete(reject);
    });
  }
}

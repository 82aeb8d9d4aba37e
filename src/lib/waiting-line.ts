// Those who wait for something: first come, first served, each with a deadline.
import type { Clock } from './clock.ts';
import { Fault } from './errors.ts';

/** One that waits. */
export interface Place<W> {
  /** As given to `wait`. */
  readonly wanted: W | undefined;
  /** As `Clock.elapsed` has it. */
  readonly sinceMs: number;
}

interface Waiter<T, W> extends Place<W> {
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export interface WaitOptions<W> {
  /** Who gives up loses the place. */
  signal?: AbortSignal | undefined;
  /** What is waited for, where it is not the same for all. */
  wanted?: W;
}

/** `T` is what they get, `W` what they say that they want. */
export class WaitingLine<T, W = undefined> {
  readonly #clock: Clock;
  readonly #what: string;
  readonly #waiters: Waiter<T, W>[] = [];

  /** `what` begins the sentence about a wait that was cancelled, e.g. `The wait for a network slot`. */
  constructor(clock: Clock, what: string) {
    this.#clock = clock;
    this.#what = what;
  }

  get length(): number {
    return this.#waiters.length;
  }

  /** Those who wait, first one first. */
  get places(): readonly Place<W>[] {
    return this.#waiters;
  }

  /** Waits for a turn. Rejects with what `late` makes after `timeoutMs`, or with `aborted`. */
  wait(timeoutMs: number, late: () => Fault, { signal, wanted }: WaitOptions<W> = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        timer.cancel();
        signal?.removeEventListener('abort', onAbort);
        const place = this.#waiters.indexOf(waiter);
        if (place >= 0) this.#waiters.splice(place, 1);
      };
      const refuse = (reason: unknown): void => {
        leave();
        reject(reason);
      };
      const onAbort = (): void => refuse(new Fault('aborted', { what: this.#what }));
      const timer = this.#clock.after(timeoutMs, () => refuse(late()));
      const waiter: Waiter<T, W> = {
        wanted,
        sinceMs: this.#clock.elapsed(),
        resolve: (value) => {
          leave();
          resolve(value);
        },
        reject: refuse,
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
      if (signal?.aborted) onAbort();
    });
  }

  /** Gives `value` to the first in line. False when nobody waits. */
  give(value: T): boolean {
    const first = this.#waiters[0];
    first?.resolve(value);
    return first !== undefined;
  }

  /** Rejects the first in line. False when nobody waits. */
  fail(reason: unknown): boolean {
    const first = this.#waiters[0];
    first?.reject(reason);
    return first !== undefined;
  }

  /** Rejects all. */
  close(reason: unknown): void {
    while (this.fail(reason));
  }
}

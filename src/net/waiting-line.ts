// Those who wait for something that is being made: first come, first served, each with a deadline.
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';

interface Waiter<T> {
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export class WaitingLine<T> {
  readonly #clock: Clock;
  readonly #waiters: Waiter<T>[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get length(): number {
    return this.#waiters.length;
  }

  /** Waits for a turn. Rejects with what `late` makes after `timeoutMs`, or with `aborted`. */
  wait(timeoutMs: number, late: () => Fault, signal?: AbortSignal): Promise<T> {
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
      const onAbort = (): void => refuse(new Fault('aborted', { what: 'The wait for a network slot' }));
      const timer = this.#clock.after(timeoutMs, () => refuse(late()));
      const waiter: Waiter<T> = {
        resolve: (value) => {
          leave();
          resolve(value);
        },
        reject: refuse,
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.push(waiter);
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

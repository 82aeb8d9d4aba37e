// Requests and WebSockets on which nothing moves. A dead client is found by TCP; this ends those that are alive, and nobody cares about.
import type { Clock, Timer } from '../lib/clock.ts';

export interface Stallable {
  /** Changes with every byte. */
  readonly progress: number;
  /** Ends it. Never throws. */
  expire(): void;
}

interface Seen {
  progress: number;
  /** Looks that found it so. */
  looks: number;
}

const looks = 4;

/** Looks at all of them now and then, so that none needs a timer of its own. */
export class Stalls {
  readonly #everyMs: number;
  readonly #clock: Clock;
  readonly #open = new Map<Stallable, Seen | undefined>();
  #timer: Timer | undefined;

  /** What stands still for `stallMs` ends within a quarter more. */
  constructor(stallMs: number, clock: Clock) {
    this.#everyMs = stallMs / looks;
    this.#clock = clock;
  }

  add(one: Stallable): void {
    this.#open.set(one, undefined);
    this.#timer ??= this.#clock.after(this.#everyMs, () => this.#look());
  }

  delete(one: Stallable): void {
    this.#open.delete(one);
  }

  close(): void {
    this.#timer?.cancel();
  }

  #look(): void {
    for (const [one, seen] of [...this.#open]) {
      const { progress } = one;
      if (seen?.progress !== progress) this.#open.set(one, { progress, looks: 0 });
      else if (++seen.looks >= looks) one.expire();
    }
    this.#timer = this.#open.size === 0 ? undefined : this.#clock.after(this.#everyMs, () => this.#look());
  }
}

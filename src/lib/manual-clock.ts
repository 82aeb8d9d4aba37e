// A clock that moves only when told to. Used by tests and by nothing else.
import type { Clock, Timer } from './clock.ts';

/** What a process that was started some time after its host would find; nothing like the time of day. */
const someElapsedMs = 1_000_000;

export class ManualClock implements Clock {
  /** Of `steady`; `now` differs from it by `#stepped`. */
  #ms: number;
  #stepped = 0;
  readonly #startedMs: number;
  #waiting: { at: number; fn: () => void }[] = [];

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#ms = startMs;
    this.#startedMs = startMs - someElapsedMs;
  }

  now(): number {
    return this.#ms + this.#stepped;
  }

  steady(): number {
    return this.#ms;
  }

  elapsed(): number {
    return this.#ms - this.#startedMs;
  }

  /** Sets the wall clock forward or back. No time passes. */
  step(ms: number): void {
    this.#stepped += ms;
  }

  after(delayMs: number, fn: () => void): Timer {
    const entry = { at: this.#ms + delayMs, fn };
    this.#waiting.push(entry);
    return {
      cancel: () => {
        this.#waiting = this.#waiting.filter((other) => other !== entry);
      },
    };
  }

  /** Moves time forward, firing what falls due in order, and lets pending promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.#ms + ms;
    for (;;) {
      const due = this.#waiting.filter((entry) => entry.at <= end).sort((a, b) => a.at - b.at)[0];
      if (!due) break;
      this.#waiting = this.#waiting.filter((entry) => entry !== due);
      this.#ms = Math.max(this.#ms, due.at);
      due.fn();
      await settle();
    }
    this.#ms = end;
    await settle();
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

// Removal of slots that nobody uses. What cannot be removed is said and tried again.
import type { Clock, Timer } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { sweep } from './sweep-slots.ts';

const againMs = 30_000;

export class SlotRemoval {
  /** Under removal, or left by an attempt. */
  readonly pending = new Set<number>();
  /** Of those, what an attempt has left. */
  readonly left = new Set<number>();
  readonly #instance: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #again: Timer | undefined;
  #isStopped = false;

  constructor(instance: string, clock: Clock, log: Log) {
    this.#instance = instance;
    this.#clock = clock;
    this.#log = log;
  }

  /** Resolves after one attempt. */
  async remove(indices: readonly number[]): Promise<void> {
    for (const index of indices) this.pending.add(index);
    const still = new Set(await sweep(this.#instance, indices));
    for (const index of indices) {
      if (still.has(index)) this.left.add(index);
      else for (const set of [this.pending, this.left]) set.delete(index);
    }
    if (still.size === 0 || this.#isStopped) return;
    const next = `Their removal is tried again in ${againMs / 1000} s.`;
    this.#log.warn('slots_left', { instance: this.#instance, slots: [...still].join(' '), next });
    this.#again ??= this.#clock.after(againMs, () => {
      this.#again = undefined;
      void this.remove([...this.left]);
    });
  }

  /** No further attempts. */
  stop(): void {
    this.#isStopped = true;
    this.#again?.cancel();
  }
}

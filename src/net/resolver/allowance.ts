// How much of the resolver one slot may take: questions under way, and questions a second. More is not answered, so that askers slow down.
import type { Clock } from '../../lib/clock.ts';
import { questionsBurst, questionsPerSecond } from '../limits.ts';

/** Each holds a socket and a deadline of some seconds. */
const openPerSlot = 64;
const openInAll = 1024;

interface Account {
  open: number;
  /** Questions that may come at once. */
  left: number;
  /** When that was counted. */
  at: number;
}

export class Allowance {
  readonly #clock: Clock;
  readonly #accounts = new Map<number, Account>();
  #open = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether `slot` may ask now. Each true is followed by one `leave`. */
  enter(slot: number): boolean {
    const now = this.#clock.elapsed();
    const account = this.#accounts.get(slot) ?? { open: 0, left: questionsBurst, at: now };
    this.#accounts.set(slot, account);
    const earned = (Math.max(0, now - account.at) / 1000) * questionsPerSecond;
    account.left = Math.min(questionsBurst, account.left + earned);
    account.at = now;
    if (account.left < 1 || account.open >= openPerSlot || this.#open >= openInAll) return false;
    account.left -= 1;
    account.open += 1;
    this.#open += 1;
    return true;
  }

  leave(slot: number): void {
    this.#open -= 1;
    const account = this.#accounts.get(slot);
    if (account && account.open > 0) account.open -= 1;
  }

  /** The slot is gone; what it still has under way ends by itself. */
  forget(slot: number): void {
    this.#accounts.delete(slot);
  }
}

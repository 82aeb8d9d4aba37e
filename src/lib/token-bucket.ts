// A token bucket: so many a second, and as many at once. Whoever finds it empty is told when to come back.

const tokenCredit = 1000;

/** How far ahead those who wait are told apart; AWS's SDKs wait no longer for what `Retry-After` says either. */
const longestLineMs = 5000;

export class TokenBucket {
  readonly #perSecond: number;
  /** In thousandths of a token: whole numbers, so that nothing is lost to rounding. */
  #credit: number;
  /** What those who were sent away will come back for. */
  #promised = 0;
  #atMs: number;

  /** `perSecond`: a whole number, 1 or more. The bucket begins full. */
  constructor(perSecond: number, nowMs: number) {
    this.#perSecond = perSecond;
    this.#credit = perSecond * tokenCredit;
    this.#atMs = nowMs;
  }

  /**
   * 0 when a token was there and is taken. Otherwise how many milliseconds until there is one for this caller; each of
   * many who are sent away at once hears of another one, so that they do not all come back for the same.
   */
  take(nowMs: number): number {
    this.#refill(nowMs);
    if (this.#credit >= tokenCredit) {
      this.#credit -= tokenCredit;
      return 0;
    }
    const missing = tokenCredit - this.#credit + this.#promised;
    this.#promised = Math.min(this.#promised + tokenCredit, longestLineMs * this.#perSecond);
    return Math.ceil(missing / this.#perSecond);
  }

  #refill(nowMs: number): void {
    // A clock that was set back gives nothing for that time, and goes on from where it is.
    const gained = Math.max(0, nowMs - this.#atMs) * this.#perSecond;
    this.#atMs = nowMs;
    this.#credit = Math.min(this.#perSecond * tokenCredit, this.#credit + gained);
    this.#promised = Math.max(0, this.#promised - gained);
  }
}

// Cuts what a guest sends into lines, in memory that a guest cannot make grow.

/** Collects the bytes of one stream; holds at most `limit` of them. */
export class GuestLines {
  readonly #limit: number;
  #held: Buffer;
  #length = 0;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
    this.#held = Buffer.alloc(Math.min(limitBytes, 4096));
  }

  /** Calls `onLine` for each whole line, without its end, until it returns false. False when a line is over the limit. */
  take(bytes: Buffer, onLine: (line: string) => boolean): boolean {
    let from = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, from)) {
      if (!this.#hold(bytes.subarray(from, end))) return false;
      const line = this.#held.toString('utf8', 0, this.#length);
      this.#length = 0;
      from = end + 1;
      if (!onLine(line)) return true;
    }
    return this.#hold(bytes.subarray(from));
  }

  /** A copy: a chunk of one byte may hang on to a buffer of many. */
  #hold(bytes: Buffer): boolean {
    const length = this.#length + bytes.length;
    if (length > this.#limit) return false;
    if (length > this.#held.length) {
      const grown = Buffer.alloc(Math.min(this.#limit, Math.max(length, 2 * this.#held.length)));
      this.#held.copy(grown, 0, 0, this.#length);
      this.#held = grown;
    }
    bytes.copy(this.#held, this.#length);
    this.#length = length;
    return true;
  }
}

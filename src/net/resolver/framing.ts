// Messages on a TCP connection: each after its length in two bytes.
import { Fault } from '../../lib/errors.ts';

export function frame(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Cuts a stream into its messages. Holds at most one unfinished message. */
export class Unframer {
  readonly #maxBytes: number;
  #pending: Buffer[] = [];
  #held = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** The messages that `chunk` completes. Throws `too_large` at the length of one over the limit. */
  push(chunk: Buffer): Buffer[] {
    this.#pending.push(chunk);
    this.#held += chunk.length;
    const messages: Buffer[] = [];
    for (;;) {
      if (this.#held < 2) return messages;
      const all = this.#pending.length === 1 ? (this.#pending[0] ?? chunk) : Buffer.concat(this.#pending);
      this.#pending = [all];
      const length = all.readUInt16BE(0);
      if (length > this.#maxBytes) throw new Fault('too_large', { what: 'A question', limit: this.#maxBytes });
      if (all.length < 2 + length) return messages;
      messages.push(all.subarray(2, 2 + length));
      this.#pending = [all.subarray(2 + length)];
      this.#held = all.length - 2 - length;
    }
  }
}

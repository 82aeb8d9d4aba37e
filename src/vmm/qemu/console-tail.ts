// The last part of what a VM printed. Bounded: a guest that floods its console fills nothing.
import { printable } from '../../lib/printable.ts';

const keptBytes = 16 << 10;

export class ConsoleTail {
  #chunks: Buffer[] = [];
  #bytes = 0;

  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    if (this.#bytes > 4 * keptBytes) this.#compact();
  }

  /** Without control characters: it goes into logs and reasons. */
  text(): string {
    this.#compact();
    return printable(this.#chunks[0]?.toString('utf8') ?? '');
  }

  #compact(): void {
    const kept = Buffer.concat(this.#chunks).subarray(-keptBytes);
    this.#chunks = [kept];
    this.#bytes = kept.length;
  }
}

// As much of WebSocket framing (RFC 6455, 5.2) as it takes to put a close frame between the frames of somebody else.

const closeOpcode = 0x8;

/** A close frame of a server. The reason has at most 123 bytes. */
export function encodeClose(code: number, reason: string): Buffer {
  const text = Buffer.from(reason);
  return Buffer.concat([Buffer.from([0x80 | closeOpcode, 2 + text.length, code >> 8, code & 0xff]), text]);
}

/** Follows the frames of one direction. It reads their headers alone. */
export class FrameBoundary {
  readonly #header = Buffer.alloc(14);
  #headerBytes = 0;
  #payloadLeft = 0;
  #closed = false;

  /** True where a close frame may be inserted: between two frames, and not behind another close frame. */
  get mayClose(): boolean {
    return this.#headerBytes === 0 && this.#payloadLeft === 0 && !this.#closed;
  }

  pass(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#payloadLeft > 0) {
        const step = Math.min(this.#payloadLeft, chunk.length - at);
        this.#payloadLeft -= step;
        at += step;
        continue;
      }
      this.#header[this.#headerBytes++] = chunk[at++] ?? 0;
      if (this.#headerBytes >= 2 && this.#headerBytes === headerLength(this.#header)) this.#begin();
    }
  }

  #begin(): void {
    const length = (this.#header[1] ?? 0) & 0x7f;
    // Where this is beyond what numbers can count, the end of the frame is never seen, and nothing is inserted.
    if (length === 127) this.#payloadLeft = Number(this.#header.readBigUInt64BE(2));
    else this.#payloadLeft = length === 126 ? this.#header.readUInt16BE(2) : length;
    if (((this.#header[0] ?? 0) & 0x0f) === closeOpcode) this.#closed = true;
    this.#headerBytes = 0;
  }
}

/** From its first two bytes. Servers do not mask, but their masks would have a length too. */
function headerLength(header: Buffer): number {
  const second = header[1] ?? 0;
  const length = second & 0x7f;
  return 2 + (length === 127 ? 8 : length === 126 ? 2 : 0) + (second & 0x80 ? 4 : 0);
}

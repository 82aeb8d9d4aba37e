// A WebSocket after its handshake, as the gateway counts and ends it: by its stream to the application, or to the shell.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Fault } from '../lib/errors.ts';

export class Tunnel {
  readonly #stream: Duplex;
  readonly #before: Bytes;

  /** To be made before anything of the WebSocket is read or written. */
  constructor(stream: Duplex) {
    this.#stream = stream;
    this.#before = bytesOf(stream);
    // What came right behind the answer belongs to the WebSocket, too.
    this.#before.read -= stream.readableLength;
  }

  /** From the client. */
  get bytesIn(): number {
    return bytesOf(this.#stream).written - this.#before.written;
  }

  get bytesOut(): number {
    return bytesOf(this.#stream).read - this.#before.read;
  }

  /** The client is told why; see `farewellAfter`. */
  end(why: Fault): void {
    this.#stream.destroy(why);
  }
}

interface Bytes {
  read: number;
  written: number;
}

/** What has passed over a stream so far; nothing where it does not count. */
function bytesOf(stream: Duplex): Bytes {
  const counting = stream as Duplex & Partial<Pick<Socket, 'bytesRead' | 'bytesWritten'>>;
  return { read: counting.bytesRead ?? 0, written: counting.bytesWritten ?? 0 };
}

// One connection to an application: a byte stream from the data plane with an undici client on top, so that we know
// which request uses which stream, whether it was used before, and how it ended.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Client } from 'undici';

// undici wants an origin; the host header is always given explicitly.
const origin = 'http://microvm.invalid';
const maxResponseHeaderBytes = 64 * 1024;

export class UpstreamConnection {
  readonly duplex: Duplex;
  readonly client: Client;
  /** Requests that were sent over it. */
  uses = 0;

  constructor(duplex: Duplex, idleMs: number) {
    this.duplex = duplex;
    // Before undici's listener: an error must be known when undici ends an answer that is delimited by the end of the stream.
    duplex.on('error', () => {});
    let given = false;
    this.client = new Client(origin, {
      pipelining: 1,
      // Long polls and streams may be silent for as long as they like; the data plane ends what hangs on a dead MicroVM.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveTimeout: idleMs,
      keepAliveMaxTimeout: idleMs,
      maxHeaderSize: maxResponseHeaderBytes,
      connect: (_, callback) => {
        // This client is this one stream: it never connects a second time.
        const usable = !given && !duplex.destroyed;
        // Not at once: undici does not send what it was given while it still looks for a connection.
        queueMicrotask(() => {
          // Of a Socket, undici uses what every Duplex has, and `ref` and `unref` where they exist.
          if (usable) callback(null, duplex as Socket);
          else callback(new Error('The connection to the application is gone.'), null);
        });
        given = true;
      },
    });
    duplex.once('close', () => {
      this.client.destroy().catch(() => {});
    });
  }

  get alive(): boolean {
    return !this.duplex.destroyed && this.duplex.readable && this.duplex.writable;
  }

  /** True when a body without length that ended on this stream ended in peace. */
  get endedCleanly(): boolean {
    return this.duplex.readableEnded && !this.duplex.errored;
  }

  /** Bytes that came from the application so far; 0 where the stream does not count. */
  get bytesRead(): number {
    const { duplex } = this;
    return 'bytesRead' in duplex && typeof duplex.bytesRead === 'number' ? duplex.bytesRead : 0;
  }

  destroy(error: Error): void {
    this.duplex.destroy(error);
  }
}

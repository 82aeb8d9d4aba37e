// HTTP/2 to an application: over plain TCP with prior knowledge, or over TLS. One session carries many exchanges.
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import type { Duplex, Readable } from 'node:stream';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { Answer } from './answer.ts';
import { trailerObject } from './client-http2.ts';
import type { Exchange, Outcome } from './exchange.ts';
import { bodyOf } from './request-body.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

const streamWindowBytes = 1 << 20;
const sessionWindowBytes = 8 << 20;
const maxStreams = 100;
const maxHeaderListBytes = 64 * 1024;

/**
 * Speaks HTTP/2 on `duplex`. Resolves when the application has said so, too; rejects with `guest_failed` when it says something else, or
 * nothing within `timeoutMs`. The stream is destroyed then.
 */
export function openHttp2(duplex: Duplex, idleMs: number, timeoutMs: number, clock: Clock): Promise<Http2Connection> {
  duplex.on('error', () => {});
  const session = connect('http://microvm.invalid', {
    createConnection: () => duplex,
    maxHeaderListPairs: 512,
    settings: { enablePush: false, initialWindowSize: streamWindowBytes, maxHeaderListSize: maxHeaderListBytes },
  });
  session.on('error', () => {});
  return new Promise((resolve, reject) => {
    const fail = (): void => {
      finish();
      session.destroy();
      duplex.destroy();
      reject(new Fault('guest_failed', { what: 'has an application that does not speak HTTP/2' }));
    };
    const timer = clock.after(timeoutMs, fail);
    const agree = (): void => {
      finish();
      session.setLocalWindowSize(sessionWindowBytes);
      resolve(new Http2Connection(duplex, session, idleMs));
    };
    const finish = (): void => {
      timer.cancel();
      session.off('remoteSettings', agree).off('close', fail);
    };
    session.once('remoteSettings', agree).once('close', fail);
  });
}

class Http2Connection implements UpstreamConnection {
  readonly duplex: Duplex;
  readonly capacity: number;
  uses = 0;
  readonly #session: ClientHttp2Session;
  #open = 0;
  readonly #idleMs: number;

  constructor(duplex: Duplex, session: ClientHttp2Session, idleMs: number) {
    this.duplex = duplex;
    this.#session = session;
    this.#idleMs = idleMs;
    this.capacity = Math.max(1, Math.min(session.remoteSettings.maxConcurrentStreams ?? maxStreams, maxStreams));
    session.on('timeout', () => {
      if (this.#open === 0) session.close();
    });
    session.once('close', () => duplex.destroy());
  }

  /** False after GOAWAY, too. */
  get isAlive(): boolean {
    return !this.#session.closed && !this.#session.destroyed && !this.duplex.destroyed;
  }

  send(exchange: Exchange, settle: (outcome: Outcome) => void): void {
    this.uses += 1;
    this.#open += 1;
    this.#session.setTimeout(0);
    const stream = this.#session.request(requestHeaders(exchange), {
      endStream: !exchange.client.hasBody,
      waitForTrailers: exchange.client.hasBody,
    });
    stream.once('close', () => {
      this.#open -= 1;
      if (this.#open === 0) this.#session.setTimeout(this.#idleMs);
    });
    new Http2Answer(stream, exchange, settle);
  }

  /** Frames of no use count against limits of `node:http2`. */
  check(): void {}

  destroy(error: Error): void {
    this.#session.destroy(error);
    this.duplex.destroy(error);
  }
}

export type { Http2Connection };

function requestHeaders({ client, requestId }: Exchange): string[] {
  const { head, method, path } = client;
  const headers = [':method', method, ':scheme', 'http', ':authority', head.host ?? '', ':path', path];
  for (let i = 0; i + 1 < head.forward.length; i += 2) {
    headers.push((head.forward[i] ?? '').toLowerCase(), head.forward[i + 1] ?? '');
  }
  if (head.takesTrailers) headers.push('te', 'trailers');
  headers.push('x-amzn-requestid', requestId);
  return headers;
}

class Http2Answer extends Answer {
  readonly #stream: ClientHttp2Stream;
  readonly #body: Readable | undefined;
  #trailers: readonly string[] = [];
  /** END_STREAM came. */
  #isWhole = false;

  constructor(stream: ClientHttp2Stream, exchange: Exchange, settle: (outcome: Outcome) => void) {
    super(exchange, settle);
    this.#stream = stream;
    this.#watchEnd(stream);
    stream.on('error', (cause) => this.fail(cause, stream.rstCode));
    stream.once('response', (_, flags, raw) => this.#begin(flags, raw));
    stream.once('trailers', (_, __, raw) => {
      this.#trailers = raw;
    });
    stream.once('close', () => this.#close());
    if (exchange.client.hasBody) {
      this.#body = bodyOf(exchange);
      stream.once('wantTrailers', () => stream.sendTrailers(trailerObject(exchange.client.trailers)));
      this.#body.pipe(stream);
      // The client left in the middle of its request.
      this.#body.once('error', () => stream.close(constants.NGHTTP2_CANCEL));
    }
  }

  #begin(flags: number, raw: string[]): void {
    const status = Number(raw[raw.indexOf(':status') + 1]);
    this.head(status, '', raw, (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0, true);
    // Not before: what came together with the head would be told before it.
    this.#stream.on('data', (chunk: Buffer) => {
      if (!this.data(chunk)) this.#stream.pause();
    });
  }

  /** Node ends a stream that was reset with NO_ERROR as if it were whole; but then it has closed it before. */
  #watchEnd(stream: ClientHttp2Stream): void {
    const push = stream.push.bind(stream);
    stream.push = (chunk: unknown, encoding?: BufferEncoding) => {
      if (chunk === null && !stream.closed) this.#isWhole = true;
      return push(chunk, encoding);
    };
  }

  #close(): void {
    const { rstCode, readableEnded } = this.#stream;
    if (this.#isWhole && readableEnded && (rstCode ?? 0) === constants.NGHTTP2_NO_ERROR) this.finish(this.#trailers);
    else
      this.fail(
        new Error(`The application reset its stream (${rstCode}).`),
        rstCode || constants.NGHTTP2_INTERNAL_ERROR,
      );
  }

  protected resume(): void {
    this.#stream.resume();
  }

  protected abort(): void {
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  protected override done(outcome: Outcome): void {
    super.done(outcome);
    this.#body?.destroy();
  }
}

// HTTP/1.1 to an application: a byte stream from the data plane with an undici client on top, so that we know which request uses which stream,
// whether it was used before, and how it ended.
import type { Socket } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { Client, type Dispatcher } from 'undici';
import { Answer } from './answer.ts';
import type { Exchange, Outcome } from './exchange.ts';
import { bodyOf } from './request-body.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

// undici wants an origin; the host header is always given explicitly.
const origin = 'http://microvm.invalid';
const maxResponseHeaderBytes = 64 * 1024;
/** undici's limit counts headers only; a status line, or interim answers, must not go on for ever either. */
const maxBytesBeforeAnswer = 1 << 20;

export class Http1Connection implements UpstreamConnection {
  readonly duplex: Duplex;
  readonly capacity = 1;
  uses = 0;
  readonly #client: Client;
  #answer: Http1Answer | undefined;
  #bytesBefore = 0;
  #isSwitched = false;

  constructor(duplex: Duplex, idleMs: number) {
    this.duplex = duplex;
    // Before undici's listener: an error must be known when undici ends an answer that is delimited by the end of the stream.
    duplex.on('error', () => {});
    let given = false;
    this.#client = new Client(origin, {
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
      this.#client.destroy().catch(() => {});
    });
  }

  get isAlive(): boolean {
    return !this.#isSwitched && !this.duplex.destroyed && this.duplex.readable && this.duplex.writable;
  }

  /** True when a body without length that ended on this stream ended in peace. */
  get endedCleanly(): boolean {
    return this.duplex.readableEnded && !this.duplex.errored;
  }

  send(exchange: Exchange, settle: (outcome: Outcome) => void): void {
    const { client, upgrade, requestId } = exchange;
    this.uses += 1;
    this.#bytesBefore = this.#bytesRead;
    const body = client.hasBody && !upgrade ? bodyOf(exchange) : null;
    const answer = new Http1Answer(this, exchange, body, settle);
    this.#answer = answer;
    const headers = ['host', client.head.host ?? '', ...client.head.forward];
    if (upgrade) headers.push(...upgrade.headers);
    headers.push('x-amzn-requestid', requestId);
    const { path, method } = client;
    try {
      if (upgrade) this.#client.dispatch({ path, method: 'GET', headers, body, upgrade: 'websocket' }, answer);
      else this.#client.dispatch({ path, method, headers, body }, answer);
    } catch (error) {
      queueMicrotask(() => answer.fail(error instanceof Error ? error : new Error(String(error))));
    }
  }

  /** The stream belongs to somebody else now. */
  switched(): void {
    this.#isSwitched = true;
  }

  check(): void {
    const answer = this.#answer;
    if (!answer || answer.started || answer.settled) return;
    if (this.#bytesRead - this.#bytesBefore <= maxBytesBeforeAnswer) return;
    this.destroy(new Error(`The application sent ${maxBytesBeforeAnswer} bytes that are no answer.`));
  }

  destroy(error: Error): void {
    this.duplex.destroy(error);
  }

  /** Bytes that came from the application so far; 0 where the stream does not count. */
  get #bytesRead(): number {
    const { duplex } = this;
    return 'bytesRead' in duplex && typeof duplex.bytesRead === 'number' ? duplex.bytesRead : 0;
  }
}

/** undici tells it what the application answers. */
class Http1Answer extends Answer implements Dispatcher.DispatchHandler {
  readonly #connection: Http1Connection;
  readonly #body: Readable | null;
  #controller: Dispatcher.DispatchController | undefined;

  constructor(
    connection: Http1Connection,
    exchange: Exchange,
    body: Readable | null,
    settle: (outcome: Outcome) => void,
  ) {
    super(exchange, settle);
    this.#connection = connection;
    this.#body = body;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.settled) controller.abort(new Error('The client has left.'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _: unknown, message?: string): void {
    // Interim answers are between the application and us.
    if (status >= 200) this.head(status, message ?? '', rawOf(controller), false, false);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.data(chunk)) controller.pause();
  }

  onResponseEnd(controller: Dispatcher.DispatchController): void {
    if (this.untilEnd && !this.#connection.endedCleanly)
      this.fail(new Error('The connection to the application broke.'));
    else this.finish(trailersOf(controller.rawTrailers));
  }

  onRequestUpgrade(controller: Dispatcher.DispatchController, _: number, __: unknown, application: Duplex): void {
    if (this.settled) {
      application.destroy();
      return;
    }
    this.#connection.switched();
    this.done({ kind: 'switched' });
    this.exchange.upgrade?.onAgreed(rawOf(controller), application);
  }

  onResponseError(_: Dispatcher.DispatchController, cause: Error): void {
    this.fail(cause);
  }

  protected resume(): void {
    this.#controller?.resume();
  }

  protected abort(cause: Error): void {
    if (this.#controller) this.#controller.abort(cause);
    else this.#connection.destroy(cause);
  }

  protected override done(outcome: Outcome): void {
    super.done(outcome);
    this.#body?.destroy();
  }
}

const rawOf = ({ rawHeaders }: Dispatcher.DispatchController): (Buffer | string)[] =>
  Array.isArray(rawHeaders) ? rawHeaders : [];

function trailersOf(raw: unknown): string[] {
  return Array.isArray(raw)
    ? raw.map((part: unknown) => (Buffer.isBuffer(part) ? part.toString('latin1') : String(part)))
    : [];
}

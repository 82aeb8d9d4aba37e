// A client's request over HTTP/2, as Node's server gives it.
import { constants, type OutgoingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { TLSSocket } from 'node:tls';
import type { AnswerForm, ClientConnection, ClientStream } from './client-stream.ts';
import { type RequestHead, readHead } from './request-head.ts';

export interface Http2Request {
  method: string;
  path: string;
  /** Of an extended CONNECT (RFC 8441). */
  protocol: string | undefined;
  rawHeaders: readonly string[];
  /** The headers were the whole request. */
  endsHere: boolean;
}

export class Http2Client implements ClientStream {
  readonly protocol = 'HTTP/2';
  readonly method: string;
  readonly path: string;
  readonly head: RequestHead;
  readonly clientAddress: string;
  readonly hasBody: boolean;
  readonly body: ServerHttp2Stream;
  trailers: readonly string[] = [];
  #drains = false;
  #takesTrailers = false;

  constructor(stream: ServerHttp2Stream, { method, path, rawHeaders, endsHere, protocol }: Http2Request) {
    this.body = stream;
    this.method = method;
    this.path = path;
    // A session that is closed does not know it any more.
    this.clientAddress = stream.session?.socket.remoteAddress ?? '';
    this.head = readHead(rawHeaders, protocol !== undefined);
    this.hasBody = !endsHere && protocol === undefined;
    // What breaks is seen at the close.
    stream.on('error', () => {});
    if (this.hasBody) {
      stream.once('trailers', (_, __, raw: string[] | undefined) => {
        this.trailers = raw ?? [];
      });
    }
  }

  get serverName(): string | undefined {
    const socket = this.body.session?.socket;
    return socket instanceof TLSSocket && typeof socket.servername === 'string' ? socket.servername : undefined;
  }

  get connection(): ClientConnection | undefined {
    return this.body.session;
  }

  get isComplete(): boolean {
    return !this.hasBody || this.body.readableEnded || this.body.endAfterHeaders;
  }

  get isClosed(): boolean {
    return this.body.closed || this.body.destroyed;
  }

  get isAnswered(): boolean {
    return this.body.headersSent && this.body.writableFinished && !this.body.aborted && isPeace(this.body.rstCode);
  }

  writeContinue(): void {
    if (!this.isClosed && !this.body.headersSent) this.body.additionalHeaders({ ':status': 100 });
  }

  respond(status: number, _message: string, headers: string[], { empty, trailers }: AnswerForm): void {
    this.#takesTrailers = trailers && !empty;
    headers.unshift(':status', String(status));
    this.body.respond(headers, { endStream: empty, waitForTrailers: this.#takesTrailers });
  }

  write(chunk: Buffer): boolean {
    return this.body.write(chunk);
  }

  onDrain(listener: () => void): void {
    if (this.#drains) return;
    this.#drains = true;
    this.body.on('drain', listener);
  }

  end(last: Buffer | undefined, trailers: readonly string[]): void {
    const stream = this.body;
    if (this.#takesTrailers) stream.once('wantTrailers', () => stream.sendTrailers(trailerObject(trailers)));
    if (last) stream.end(last);
    else stream.end();
  }

  reset(code?: number): void {
    const stream = this.body;
    // `close` ends the stream before it resets it, which makes a part look whole, unless trailers were to come.
    if (code !== undefined && (this.#takesTrailers || !stream.headersSent)) stream.close(code);
    else stream.destroy(new Error('The answer broke off.'));
  }

  onClose(listener: () => void): void {
    this.body.once('close', listener);
  }

  dismiss(): void {
    // The answer is whole: the client may stop sending (RFC 9113, 8.1).
    if (!this.isComplete && !this.isClosed) this.body.close(constants.NGHTTP2_NO_ERROR);
  }
}

/** NO_ERROR says after a whole answer that the rest of the request is not wanted. */
const isPeace = (code: number | undefined): boolean => code === undefined || code === constants.NGHTTP2_NO_ERROR;

/** As `sendTrailers` wants them; pseudo-headers and what belongs to one connection are left out. */
export function trailerObject(flat: readonly string[]): OutgoingHttpHeaders {
  const trailers: Record<string, string[]> = {};
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = (flat[i] ?? '').toLowerCase();
    if (name.startsWith(':') || name === 'connection' || name === 'transfer-encoding') continue;
    trailers[name] ??= [];
    trailers[name].push(flat[i + 1] ?? '');
  }
  return trailers;
}

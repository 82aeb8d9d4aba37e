// A client's request over HTTP/1.1, as Node's server gives it.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import type { AnswerForm, ClientConnection, ClientStream } from './client-stream.ts';
import { type RequestHead, readHead } from './request-head.ts';

export class Http1Client implements ClientStream {
  readonly protocol = 'HTTP/1.1';
  readonly head: RequestHead;
  readonly clientAddress: string;
  readonly hasBody: boolean;
  readonly body: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #clock: Clock;
  #drains = false;

  constructor(req: IncomingMessage, res: ServerResponse, clock: Clock, upgrades = false) {
    this.body = req;
    this.#res = res;
    this.#clock = clock;
    // A socket that is closed does not know it any more.
    this.clientAddress = req.socket.remoteAddress ?? '';
    this.head = readHead(req.rawHeaders, upgrades);
    this.hasBody = this.head.announcesBody && !upgrades;
  }

  get method(): string {
    return this.body.method ?? 'GET';
  }

  get path(): string {
    return this.body.url ?? '';
  }

  get serverName(): string | undefined {
    const { socket } = this.body;
    return socket instanceof TLSSocket && typeof socket.servername === 'string' ? socket.servername : undefined;
  }

  get connection(): ClientConnection {
    return this.body.socket;
  }

  get isComplete(): boolean {
    return this.body.complete;
  }

  get trailers(): readonly string[] {
    return this.body.rawTrailers;
  }

  get isClosed(): boolean {
    return this.#res.destroyed || this.#res.socket?.destroyed === true;
  }

  get isAnswered(): boolean {
    return this.#res.writableFinished;
  }

  writeContinue(): void {
    this.#res.writeContinue();
  }

  respond(status: number, message: string, headers: string[], { empty }: AnswerForm): void {
    this.#res.writeHead(status, message, headers);
    // What is written in this turn goes out with it; event streams may be silent for long.
    if (!empty) process.nextTick(flush, this.#res);
  }

  write(chunk: Buffer): boolean {
    return this.#res.write(chunk);
  }

  onDrain(listener: () => void): void {
    if (this.#drains) return;
    this.#drains = true;
    this.#res.on('drain', listener);
  }

  end(last: Buffer | undefined, trailers: readonly string[]): void {
    const res = this.#res;
    if (trailers.length > 0 && res.chunkedEncoding) res.addTrailers(pairs(trailers));
    if (last) res.end(last);
    else res.end();
  }

  reset(): void {
    this.#res.destroy();
  }

  onClose(listener: () => void): void {
    // It closes once; taking the listener off again would only cost time.
    this.#res.on('close', listener);
  }

  dismiss(lingerMs: number): void {
    const req = this.body;
    if (req.complete || req.socket.destroyed) return;
    req.on('error', () => {});
    req.resume();
    const timer = this.#clock.after(lingerMs, () => req.socket.destroy());
    req.once('close', () => timer.cancel());
    req.once('end', () => timer.cancel());
    // A client that waits for `100 Continue` sends nothing more, and its next request could not be told from the body.
    if (this.head.expectsContinue) this.#res.once('finish', () => req.socket.destroySoon());
  }
}

function flush(res: ServerResponse): void {
  if (!res.writableEnded && !res.destroyed) res.flushHeaders();
}

function pairs(flat: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) found.push([flat[i] ?? '', flat[i + 1] ?? '']);
  return found;
}

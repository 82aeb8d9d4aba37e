// An application's answer on its way to the client, with back-pressure. The upstream connections feed it.
import { readAnswerHead } from './answer-head.ts';
import type { Exchange, Outcome } from './exchange.ts';

export abstract class Answer {
  protected readonly exchange: Exchange;
  readonly #settle: (outcome: Outcome) => void;
  /** Whether the answer has begun. */
  started = false;
  settled = false;
  /** Bytes of the body that are still to come; negative when that is not known. */
  #left = -1;
  /** The first piece when it is the whole body: it goes out with the head and the end. */
  #whole: Buffer | undefined;
  /** The answer has no framing of its own: it ends where its connection ends. */
  protected untilEnd = false;

  constructor(exchange: Exchange, settle: (outcome: Outcome) => void) {
    this.exchange = exchange;
    this.#settle = settle;
    exchange.client.onClose(() => this.#clientLeft());
  }

  /** Lets the application go on after `data` returned false. */
  protected abstract resume(): void;
  /** Ends the exchange with the application. */
  protected abstract abort(cause: Error): void;

  /** `empty`: there will be no body. `framed`: the protocol tells where the body ends. */
  protected head(
    status: number,
    message: string,
    raw: readonly (Buffer | string)[],
    empty: boolean,
    framed: boolean,
  ): void {
    const { exchange } = this;
    const { client } = exchange;
    if (this.settled) return;
    if (status === 400 && exchange.doubtsPlain) {
      this.done({ kind: 'doubted' });
      this.abort(new Error('The application may speak TLS.'));
      return;
    }
    const lowerCase = client.protocol === 'HTTP/2';
    const { forward, length, chunked } = readAnswerHead(raw, exchange.requestId, lowerCase);
    const bodiless = empty || client.method === 'HEAD' || status === 204 || status === 304;
    this.untilEnd = !framed && !bodiless && length < 0 && !chunked;
    this.#left = bodiless ? 0 : length;
    try {
      client.respond(status, message, forward, { empty: bodiless, trailers: framed || chunked });
    } catch (error) {
      this.fail(error instanceof Error ? error : new Error(String(error)));
      this.abort(new Error('The answer cannot be passed on.'));
      return;
    }
    this.started = true;
    exchange.onAnswer(status);
  }

  /** False when the application has to wait. */
  protected data(chunk: Buffer): boolean {
    if (this.settled) return true;
    const { client } = this.exchange;
    this.exchange.onBytesOut(chunk.length);
    if (chunk.length === this.#left && this.#whole === undefined) {
      this.#left = 0;
      this.#whole = chunk;
      return true;
    }
    if (this.#left > 0) this.#left -= chunk.length;
    if (client.write(chunk)) return true;
    client.onDrain(() => this.resume());
    return false;
  }

  protected finish(trailers: readonly string[]): void {
    if (this.settled) return;
    if (this.#left > 0) {
      this.fail(new Error('The application ended its answer before its end.'));
      return;
    }
    this.exchange.client.end(this.#whole, trailers);
    this.done({ kind: 'answered' });
  }

  /** `code`: how an HTTP/2 application reset its stream. */
  fail(cause: Error, code?: number): void {
    if (this.settled) return;
    if (this.started) this.exchange.client.reset(code);
    this.done({ kind: this.started ? 'broken' : 'unanswered', cause });
  }

  #clientLeft(): void {
    if (this.settled) return;
    const cause = new Error('The client has left.');
    this.done({ kind: this.started ? 'broken' : 'unanswered', cause });
    this.abort(cause);
  }

  protected done(outcome: Outcome): void {
    if (this.settled) return;
    this.settled = true;
    this.#settle(outcome);
  }
}

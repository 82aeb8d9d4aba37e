// One request over one connection to an application, streamed both ways with back-pressure.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dispatcher } from 'undici';
import { headerIn, headerTexts, requestHeaders, responseHeaders } from './headers.ts';
import { bodyOf, hasBody } from './request-body.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

export interface Exchange {
  req: IncomingMessage;
  res: ServerResponse;
  requestId: string;
  /** Bytes came from the client. */
  touch(): void;
  /** The client waits for `100 Continue` before it sends the body. */
  expectsContinue: boolean;
  /** Present for WebSocket handshakes. */
  upgrade?: Upgrade;
}

export interface Upgrade {
  /** What the application gets to choose from. */
  subprotocols: readonly string[];
  /** Takes both streams over once the application has agreed. */
  onAgreed(rawHeaders: readonly string[], application: Duplex): void;
}

/**
 * `answered`: the whole answer went out. `switched`: both streams are spliced. `broken`: part of an answer went out, and the client's connection was
 * destroyed so that it cannot take the part for the whole. `unanswered`: nothing went out.
 */
export type Outcome = { kind: 'answered' | 'switched' } | { kind: 'broken' | 'unanswered'; cause: Error };

/** undici's limit counts headers only; a status line, or interim answers, must not go on for ever either. */
const maxBytesBeforeAnswer = 1 << 20;
const lookEveryMs = 1000;

/** Sends the request of `exchange` over `connection`. Never rejects. */
export function forward(connection: UpstreamConnection, exchange: Exchange): Promise<Outcome> {
  const { req, res, requestId, upgrade } = exchange;
  const body = hasBody(req) && !upgrade ? requestBody(exchange) : null;
  connection.uses += 1;
  return new Promise((resolve) => {
    const relay = new Relay(connection, exchange, (outcome) => {
      clearInterval(look);
      body?.destroy();
      resolve(outcome);
    });
    const before = connection.bytesRead;
    const look = setInterval(() => {
      if (relay.started || connection.bytesRead - before <= maxBytesBeforeAnswer) return;
      connection.destroy(new Error(`The application sent ${maxBytesBeforeAnswer} bytes that are no answer.`));
    }, lookEveryMs);
    try {
      connection.client.dispatch(
        {
          path: req.url ?? '/',
          method: req.method ?? 'GET',
          headers: requestHeaders(req, requestId, upgrade?.subprotocols),
          body,
          ...(upgrade ? { upgrade: 'websocket' } : {}),
        },
        relay,
      );
    } catch (error) {
      relay.fail(error instanceof Error ? error : new Error(String(error)));
    }
    res.once('close', () => relay.clientLeft());
    if (res.destroyed || res.socket?.destroyed) relay.clientLeft();
  });
}

function requestBody(exchange: Exchange): ReturnType<typeof bodyOf> {
  const onStart = (): void => {
    if (exchange.expectsContinue) exchange.res.writeContinue();
  };
  return bodyOf(exchange.req, { onStart, onBytes: exchange.touch });
}

/** undici tells it what the application answers. */
class Relay implements Dispatcher.DispatchHandler {
  readonly #connection: UpstreamConnection;
  readonly #exchange: Exchange;
  readonly #settle: (outcome: Outcome) => void;
  #controller: Dispatcher.DispatchController | undefined;
  /** Whether the answer has begun. */
  started = false;
  #settled = false;
  /** The answer has no length of its own: it ends where the stream ends. */
  #untilEnd = false;

  constructor(connection: UpstreamConnection, exchange: Exchange, settle: (outcome: Outcome) => void) {
    this.#connection = connection;
    this.#exchange = exchange;
    this.#settle = settle;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller;
    if (this.#settled) controller.abort(new Error('The client is gone.'));
  }

  onResponseStart(controller: Dispatcher.DispatchController, status: number, _: unknown, message?: string): void {
    // Interim answers are between the application and us.
    if (status < 200) return;
    const { res, requestId } = this.#exchange;
    const raw = headerTexts(controller.rawHeaders);
    res.writeHead(status, message ?? '', responseHeaders(raw, requestId));
    this.started = true;
    this.#untilEnd = headerIn(raw, 'content-length') === undefined && headerIn(raw, 'transfer-encoding') === undefined;
    res.on('drain', () => controller.resume());
    // Together with the first piece of the body if that is already here, else at once: event streams may be silent for long.
    setImmediate(() => {
      if (!res.destroyed) res.flushHeaders();
    });
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#exchange.res.write(chunk)) controller.pause();
  }

  onResponseEnd(_: Dispatcher.DispatchController, trailers: Record<string, string | string[] | undefined>): void {
    const { req, res } = this.#exchange;
    const bodiless = req.method === 'HEAD' || res.statusCode === 204 || res.statusCode === 304;
    if (this.#untilEnd && !bodiless && !this.#connection.endedCleanly) {
      this.fail(new Error('The connection to the application broke.'));
      return;
    }
    const sent = Object.entries(trailers).flatMap(([name, value]) =>
      value === undefined ? [] : [value].flat().map((one): [string, string] => [name, one]),
    );
    if (sent.length > 0 && res.chunkedEncoding) res.addTrailers(sent);
    res.end();
    // The answer is out when the client has taken it, or left.
    if (res.writableFinished) this.#done({ kind: 'answered' });
    else res.once('finish', () => this.#done({ kind: 'answered' }));
  }

  onRequestUpgrade(
    controller: Dispatcher.DispatchController,
    _status: number,
    _headers: unknown,
    application: Duplex,
  ): void {
    if (this.#settled) {
      application.destroy();
      return;
    }
    this.#done({ kind: 'switched' });
    this.#exchange.upgrade?.onAgreed(headerTexts(controller.rawHeaders), application);
  }

  onResponseError(_: Dispatcher.DispatchController, cause: Error): void {
    this.fail(cause);
  }

  fail(cause: Error): void {
    if (this.#settled) return;
    if (this.started) this.#exchange.res.destroy();
    this.#done({ kind: this.started ? 'broken' : 'unanswered', cause });
  }

  clientLeft(): void {
    if (this.#settled) return;
    const cause = new Error('The client closed its connection.');
    this.#done({ kind: this.started ? 'broken' : 'unanswered', cause });
    if (this.#controller) this.#controller.abort(cause);
    else this.#connection.destroy(cause);
  }

  #done(outcome: Outcome): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#settle(outcome);
  }
}

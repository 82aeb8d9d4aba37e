// One request on its way to the application: which connection, in which protocol, and what may be tried again.
import type { Rooms } from './arrival.ts';
import type { Exchange, Outcome } from './exchange.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import type { Place } from './upstream-pool.ts';

export interface DeliveryOptions {
  rooms: Rooms;
  exchange: Exchange;
  place: Place;
  /** Fires when nobody waits for an answer any more. */
  signal(): AbortSignal;
  /** Calls back once, unless the client left before anything was sent. */
  onEnd(outcome: Exclude<Outcome, { kind: 'doubted' }> | { kind: 'unreachable'; cause: unknown }): void;
}

export class Delivery {
  readonly #options: DeliveryOptions;
  /** Whether the application speaks TLS, as known when it was sent. */
  #secure: boolean | undefined;
  /** The next attempt has a connection of its own: there is no second repetition. */
  #fresh = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
  }

  get doubtsPlain(): boolean {
    return this.#secure === undefined && this.#isRepeatable;
  }

  start(): void {
    const { rooms, place, exchange } = this.#options;
    this.#secure = rooms.upstreams.isSecure(place);
    const kept = this.#fresh ? undefined : rooms.upstreams.pool.take(place);
    if (kept) this.#send(kept);
    // What cannot be sent twice is not sent before it is known how.
    else if (this.#secure === undefined && (exchange.client.hasBody || place.kind === 'http2')) this.#probe();
    else this.#acquire();
  }

  #acquire(): void {
    const { rooms, place, signal } = this.#options;
    rooms.upstreams.pool.acquire(place, signal(), this.#fresh).then(
      (connection) => this.#send(connection),
      (cause: unknown) => this.#unreachable(cause),
    );
  }

  #probe(): void {
    const { rooms, place, signal } = this.#options;
    rooms.upstreams.probe(place, signal()).then(
      (secure) => {
        this.#secure = secure;
        this.#acquire();
      },
      (cause: unknown) => this.#unreachable(cause),
    );
  }

  #send(connection: UpstreamConnection): void {
    const { rooms, place, exchange } = this.#options;
    const { pool } = rooms.upstreams;
    if (exchange.client.isClosed) {
      pool.release(place, connection);
      return;
    }
    const isReused = connection.uses > 0;
    connection.send(exchange, (outcome) => {
      // The connection may be about to end; when this turn is over, that is known.
      queueMicrotask(() => pool.release(place, connection));
      this.#settled(outcome, isReused);
    });
  }

  #settled(outcome: Outcome, isReused: boolean): void {
    const { rooms, place, exchange, onEnd } = this.#options;
    if (outcome.kind === 'doubted') {
      this.#probe();
      return;
    }
    if (outcome.kind !== 'unanswered') {
      if (this.#secure === undefined && exchange.status !== 400) rooms.upstreams.learn(place, false);
      onEnd(outcome);
      return;
    }
    if (exchange.client.isClosed) onEnd(outcome);
    // A kept connection that turned out dead.
    else if (isReused && !this.#fresh && this.#isRepeatable) this.#repeat();
    // Whatever the method, a TLS server has understood nothing of it.
    else if (this.#secure === undefined && !exchange.client.hasBody) this.#repeatIfSecure(outcome);
    else {
      // It may speak something else now.
      rooms.upstreams.learn(place, undefined);
      onEnd(outcome);
    }
  }

  #repeat(): void {
    this.#fresh = true;
    this.start();
  }

  #repeatIfSecure(outcome: Extract<Outcome, { cause: Error }>): void {
    const { rooms, place, signal, onEnd } = this.#options;
    rooms.upstreams.probe(place, signal()).then(
      (secure) => {
        this.#secure = secure;
        if (secure) this.#repeat();
        else onEnd(outcome);
      },
      (cause: unknown) => this.#unreachable(cause),
    );
  }

  #unreachable(cause: unknown): void {
    this.#options.onEnd({ kind: 'unreachable', cause });
  }

  /** RFC 9110, 9.2.2; with a body it cannot be told how much the application has seen. */
  get #isRepeatable(): boolean {
    const { client, upgrade } = this.#options.exchange;
    return idempotent.has(client.method) && !client.hasBody && !upgrade;
  }
}

const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

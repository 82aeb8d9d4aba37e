// One request from the door to its answer: host → token → port → begin activity → awake → connection → exchange. On the way of a request to a
// running MicroVM over a kept connection there is no promise and no timer.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Activity, DataPlane } from '../contract/data-plane.ts';
import type { Limiter } from '../contract/limiter.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, Fault, isFault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { AccessRecord, OnAnswered } from './access-log.ts';
import { type Admission, admit, type Door, type Scope } from './admit.ts';
import { untilAwake } from './awake.ts';
import { countConnection } from './client-connections.ts';
import type { ClientStream } from './client-stream.ts';
import type { Credentials } from './credentials.ts';
import type { Dialer } from './dial.ts';
import type { Exchange, Outcome, Upgrade } from './exchange.ts';
import { type Refusal, refusals, refuse } from './refusal.ts';
import type { GatewaySettings } from './settings.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import type { Place } from './upstream-pool.ts';
import type { Upstreams } from './upstreams.ts';

export interface Rooms {
  dataPlane: DataPlane;
  door: Door;
  dialer: Dialer;
  upstreams: Upstreams;
  clock: Clock;
  log: Log;
  settings: GatewaySettings;
  onAnswered: OnAnswered | undefined;
}

export interface Arrival {
  client: ClientStream;
  scope: Scope;
  requestId: string;
  credentials: Credentials;
  upgrade?: WebSocketUpgrade;
}

/** For WebSocket handshakes. */
export interface WebSocketUpgrade {
  headers: readonly string[];
  /** Takes both streams over; `activity` ends when they are over. */
  onAgreed(rawHeaders: readonly (Buffer | string)[], application: Duplex, activity: Activity): void;
}

/** Whatever happens is answered, or the client's connection or stream is cut. Never throws. */
export function handle(rooms: Rooms, arrival: Arrival): void {
  new Passage(rooms, arrival).enter();
}

class Passage implements Exchange {
  readonly client: ClientStream;
  readonly requestId: string;
  readonly upgrade: Upgrade | undefined;
  readonly #rooms: Rooms;
  readonly #arrival: Arrival;
  readonly #startedAtMs: number;
  readonly #startedAt = performance.now();
  #place: Place | undefined;
  #activity: Activity | undefined;
  #gone: AbortController | undefined;
  /** A fresh connection was tried: there is no second repetition. */
  #fresh = false;
  #secure: boolean | undefined;
  #isTunnel = false;
  #status: number | undefined;
  #refusal: Refusal | undefined;
  #isBroken = false;
  #bytesIn = 0;
  #bytesOut = 0;
  #wakeMs = 0;
  #firstByteMs: number | undefined;

  constructor(rooms: Rooms, arrival: Arrival) {
    this.#rooms = rooms;
    this.#arrival = arrival;
    this.client = arrival.client;
    this.requestId = arrival.requestId;
    this.#startedAtMs = rooms.clock.now();
    const { upgrade } = arrival;
    this.upgrade = upgrade && {
      headers: upgrade.headers,
      onAgreed: (raw, application) => this.#switch(upgrade, raw, application),
    };
    this.client.onClose(() => this.#onClose());
  }

  get doubtsPlain(): boolean {
    return this.#secure === undefined && this.#isRepeatable;
  }

  enter(): void {
    const { door } = this.#rooms;
    const { scope, credentials } = this.#arrival;
    this.#guard(() => {
      const verdict = admit(door, this.client, scope, credentials);
      if (verdict instanceof Promise) this.#after(verdict, (admission) => this.#admitted(admission));
      else this.#admitted(verdict);
    });
  }

  onAnswer(status: number): void {
    this.#status = status;
    this.#firstByteMs = performance.now() - this.#startedAt;
  }

  onBytesIn(count: number): void {
    this.#bytesIn += count;
    this.#activity?.touch();
  }

  onBytesOut(count: number): void {
    this.#bytesOut += count;
  }

  #admitted(admission: Admission | Refusal): void {
    if (typeof admission === 'string') {
      this.#refuse(admission);
      return;
    }
    if (this.client.isClosed) return;
    const { dataPlane, settings, clock, dialer } = this.#rooms;
    const kind = this.upgrade ? 'upgrade' : this.client.head.forceHttp2 ? 'http2' : 'ordinary';
    const { microvmId, port } = admission;
    this.#place = { microvmId, port, kind };
    const limiter = dataPlane.limiter(microvmId);
    if (limiter && this.#isOver(limiter, microvmId)) return;
    this.#activity = dataPlane.begin(microvmId);
    const waking = dataPlane.awake(microvmId, this.#signal);
    if (!waking) {
      // Nobody heeds it then.
      this.#gone = undefined;
      dialer.sawAwake(microvmId);
      this.#connect(this.#place);
      return;
    }
    const awake = untilAwake(waking, this.#signal, settings.wakeTimeoutMs, clock);
    const since = performance.now();
    const place = this.#place;
    this.#after(awake, () => {
      this.#wakeMs = performance.now() - since;
      dialer.sawAwake(microvmId);
      this.#connect(place);
    });
  }

  /** Refuses what is over a limit, before it wakes anything. */
  #isOver(limiter: Limiter, microvmId: string): boolean {
    const { connection } = this.client;
    if (connection && !countConnection(connection, microvmId, limiter)) {
      this.#refuse('too_many_connections');
      return true;
    }
    const waitMs = limiter.request();
    if (waitMs > 0) this.#refuse('too_many_requests', Math.ceil(waitMs / 1000));
    return waitMs > 0;
  }

  #connect(place: Place): void {
    const { upstreams } = this.#rooms;
    this.#secure = upstreams.isSecure(place);
    const kept = this.#fresh ? undefined : upstreams.pool.take(place);
    if (kept) this.#send(place, kept);
    // What cannot be sent twice is not sent before it is known how.
    else if (this.#secure === undefined && (this.client.hasBody || place.kind === 'http2')) this.#probe(place);
    else {
      const connected = upstreams.pool.acquire(place, this.#signal, this.#fresh);
      this.#after(connected, (connection) => this.#send(place, connection));
    }
  }

  #probe(place: Place): void {
    this.#after(this.#rooms.upstreams.probe(place, this.#signal), (secure) => {
      this.#secure = secure;
      const connected = this.#rooms.upstreams.pool.acquire(place, this.#signal, this.#fresh);
      this.#after(connected, (connection) => this.#send(place, connection));
    });
  }

  #send(place: Place, connection: UpstreamConnection): void {
    if (this.client.isClosed) {
      this.#rooms.upstreams.pool.release(place, connection);
      return;
    }
    const isReused = connection.uses > 0;
    connection.send(this, (outcome) => {
      // The connection may be about to end; when this turn is over, that is known.
      queueMicrotask(() => this.#rooms.upstreams.pool.release(place, connection));
      this.#guard(() => this.#settled(place, outcome, isReused));
    });
  }

  #settled(place: Place, outcome: Outcome, isReused: boolean): void {
    const { upstreams } = this.#rooms;
    switch (outcome.kind) {
      case 'answered':
        if (this.#secure === undefined && this.#status !== 400) upstreams.learn(place, false);
        this.client.dismiss(this.#rooms.settings.lingerMs);
        return;
      case 'switched':
        if (this.#secure === undefined) upstreams.learn(place, false);
        return;
      case 'doubted':
        this.#probe(place);
        return;
      case 'broken':
        this.#isBroken = true;
        this.#warn('gateway.broken', outcome.cause);
        return;
      case 'unanswered':
        if (!this.client.isClosed) this.#unanswered(place, outcome.cause, isReused);
    }
  }

  #unanswered(place: Place, cause: Error, isReused: boolean): void {
    const { upstreams } = this.#rooms;
    // A kept connection that turned out dead.
    if (isReused && !this.#fresh && this.#isRepeatable) {
      this.#fresh = true;
      this.#connect(place);
      return;
    }
    if (this.#secure === undefined && !this.client.hasBody) {
      this.#after(upstreams.probe(place, this.#signal), (secure) => {
        this.#secure = secure;
        if (!secure) return this.#fail(cause);
        // Whatever the method, a TLS server has understood nothing of it.
        this.#fresh = true;
        this.#connect(place);
      });
      return;
    }
    // It may speak something else now.
    upstreams.learn(place, undefined);
    this.#fail(cause);
  }

  /** RFC 9110, 9.2.2; with a body it cannot be told how much the application has seen. */
  get #isRepeatable(): boolean {
    return idempotent.has(this.client.method) && !this.client.hasBody && !this.upgrade;
  }

  #fail(cause: Error): void {
    this.#warn('gateway.unanswered', cause);
    this.#refuse('application_failed');
  }

  #refuse(refusal: Refusal, retryAfterSeconds?: number): void {
    const { client, requestId } = this;
    this.#refusal = refusal;
    if (client.isClosed) return;
    this.onAnswer(refusals[refusal].status);
    const later = retryAfterSeconds === undefined ? {} : { retryAfterSeconds };
    refuse(client, refusal, { requestId, explain: this.#rooms.settings.explain, ...later });
    if (!this.upgrade) client.dismiss(this.#rooms.settings.lingerMs);
  }

  #switch(upgrade: WebSocketUpgrade, raw: readonly (Buffer | string)[], application: Duplex): void {
    this.#isTunnel = true;
    this.onAnswer(this.client.protocol === 'HTTP/2' ? 200 : 101);
    const before = bytesOf(application);
    upgrade.onAgreed(raw, application, {
      touch: () => this.#activity?.touch(),
      end: () => {
        const after = bytesOf(application);
        this.#bytesIn = after.written - before.written;
        this.#bytesOut = after.read - before.read;
        this.#end();
      },
    });
  }

  #onClose(): void {
    this.#leave();
    // A tunnel goes on after the HTTP server is done with it.
    if (!this.#isTunnel) this.#end();
  }

  #end(): void {
    this.#activity?.end();
    this.#rooms.onAnswered?.(this.#record());
  }

  #record(): AccessRecord {
    const { client } = this;
    const query = client.path.indexOf('?');
    const end = this.#isTunnel
      ? 'switched'
      : this.#refusal
        ? 'refused'
        : this.#status === undefined
          ? 'left'
          : this.#isBroken || !client.isAnswered
            ? 'broken'
            : 'answered';
    return {
      startedAtMs: this.#startedAtMs,
      requestId: this.requestId,
      clientAddress: client.clientAddress,
      protocol: client.protocol,
      method: client.method,
      path: query < 0 ? client.path : client.path.slice(0, query),
      microvmId: this.#place?.microvmId,
      port: this.#place?.port,
      status: this.#status,
      refusal: this.#refusal,
      end,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      durationMs: performance.now() - this.#startedAt,
      wakeMs: this.#wakeMs,
      firstByteMs: this.#firstByteMs,
    };
  }

  #leave(): void {
    this.#gone?.abort(new Fault('aborted', { what: 'The request' }));
  }

  get #signal(): AbortSignal {
    this.#gone ??= new AbortController();
    return this.#gone.signal;
  }

  /** Goes on with what `work` resolves to; what it rejects with becomes a refusal, unless nobody is there to hear it. */
  #after<T>(work: Promise<T>, next: (value: T) => void): void {
    work.then(
      (value) => this.#guard(() => next(value)),
      (error: unknown) => this.#guard(() => this.#unavailable(error)),
    );
  }

  #unavailable(error: unknown): void {
    // What is waited for no longer, because it took too long, is to know.
    this.#leave();
    if (this.client.isClosed) return;
    this.#warn('gateway.unavailable', error);
    this.#refuse(refusalForFault(error));
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#rooms.log.error('gateway.request_failed', { requestId: this.requestId, error: describe(error) });
      if (this.#status === undefined) this.#refuse('microvm_unavailable');
      else this.client.reset();
    }
  }

  #warn(event: string, error: unknown): void {
    const { microvmId, port } = this.#place ?? {};
    this.#rooms.log.warn(event, { microvmId, port, requestId: this.requestId, error: describe(error) });
  }
}

const idempotent = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']);

/** What has passed over a stream so far; nothing where it does not count. */
function bytesOf(stream: Duplex): { read: number; written: number } {
  const { bytesRead: read = 0, bytesWritten: written = 0 } = stream as Duplex &
    Partial<Pick<Socket, 'bytesRead' | 'bytesWritten'>>;
  return { read, written };
}

/** Reference f.7: all of these are 502 with an empty body. */
function refusalForFault(error: unknown): Refusal {
  if (isFault(error, 'guest_failed')) return 'application_unreachable';
  if (isFault(error, 'deadline_exceeded')) return 'wake_timeout';
  if (isFault(error, 'capacity_exhausted')) return 'host_full';
  return 'microvm_unavailable';
}

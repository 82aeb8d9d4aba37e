// One request from the door to its answer: host → token → port → begin activity → awake → delivery. On the way of a request to a running MicroVM
// over a kept connection there is no promise and no timer.
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';
import { describe, Fault, isFault } from '../lib/errors.ts';
import type { AccessRecord } from './access-log.ts';
import { type Admission, admit } from './admit.ts';
import type { Entry } from './admitted.ts';
import type { Arrival, Rooms, WebSocketUpgrade } from './arrival.ts';
import { untilAwake } from './awake.ts';
import type { ClientStream } from './client-stream.ts';
import { Delivery, type DeliveryOptions } from './delivery.ts';
import type { Exchange, Upgrade } from './exchange.ts';
import { overLimit } from './over-limit.ts';
import { type Refusal, refusals, refuse } from './refusal.ts';
import type { Stallable } from './stalls.ts';
import type { Place } from './upstream-pool.ts';

/** Whatever happens is answered, or the client's connection or stream is cut. Never throws. */
export function handle(rooms: Rooms, arrival: Arrival): void {
  new Passage(rooms, arrival).enter();
}

class Passage implements Exchange, Stallable {
  readonly client: ClientStream;
  readonly requestId: string;
  readonly upgrade: Upgrade | undefined;
  status: number | undefined;
  readonly #rooms: Rooms;
  readonly #arrival: Arrival;
  readonly #startedAtMs: number;
  readonly #startedAt = performance.now();
  #place: Place | undefined;
  #activity: Activity | undefined;
  #delivery: Delivery | undefined;
  #gone: AbortController | undefined;
  /** The application's side of a WebSocket, after the switch. */
  #tunnel: Duplex | undefined;
  #entry: Entry | undefined;
  #tokenId: string | undefined;
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
    rooms.stalls.add(this);
  }

  get doubtsPlain(): boolean {
    return this.#delivery?.doubtsPlain ?? false;
  }

  get progress(): number {
    const { read, written } = this.#tunnel ? bytesOf(this.#tunnel) : { read: 0, written: 0 };
    return this.#bytesIn + this.#bytesOut + read + written + (this.status ?? 0);
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
    this.status = status;
    this.#firstByteMs = performance.now() - this.#startedAt;
  }

  onBytesIn(count: number): void {
    this.#bytesIn += count;
    this.#activity?.touch();
  }

  onBytesOut(count: number): void {
    this.#bytesOut += count;
  }

  expire(): void {
    const { stallMs } = this.#rooms.settings;
    this.#warn('gateway.stalled', new Fault('deadline_exceeded', { what: 'The wait for a next byte', ms: stallMs }));
    if (this.#tunnel) this.#tunnel.destroy(new Error('The connection was silent for too long.'));
    else if (this.status === undefined) this.#refuse('application_failed');
    else this.client.reset();
  }

  #admitted(admission: Admission | Refusal): void {
    if (typeof admission === 'string') {
      this.#refuse(admission);
      return;
    }
    if (this.client.isClosed) return;
    const { dataPlane, settings, clock } = this.#rooms;
    const kind = this.upgrade ? 'upgrade' : this.client.head.forceHttp2 ? 'http2' : 'ordinary';
    const { microvmId, port, claims } = admission;
    const place = { microvmId, port, kind } as const;
    this.#place = place;
    this.#tokenId = claims.jti;
    const limiter = dataPlane.limiter(microvmId);
    const over = limiter && this.client.connection && overLimit(limiter, this.client.connection, microvmId);
    if (over) {
      this.#refuse(over.refusal, over.retryAfterSeconds);
      return;
    }
    this.#entry = this.#rooms.admitted?.enter(claims, () => this.#cut());
    this.#activity = dataPlane.begin(microvmId);
    const waking = dataPlane.awake(microvmId, this.#signal);
    if (!waking) {
      // Nobody heeds it then.
      this.#gone = undefined;
      this.#deliver(place);
      return;
    }
    const since = performance.now();
    this.#after(untilAwake(waking, this.#signal, settings.wakeTimeoutMs, clock), () => {
      this.#wakeMs = performance.now() - since;
      this.#deliver(place);
    });
  }

  #deliver(place: Place): void {
    this.#rooms.dialer.sawAwake(place.microvmId);
    this.#delivery = new Delivery({
      rooms: this.#rooms,
      exchange: this,
      place,
      signal: () => this.#signal,
      onEnd: (end) => this.#guard(() => this.#delivered(end)),
    });
    this.#delivery.start();
  }

  #delivered(end: Parameters<DeliveryOptions['onEnd']>[0]): void {
    switch (end.kind) {
      case 'answered':
        this.client.dismiss(this.#rooms.settings.lingerMs);
        return;
      case 'switched':
        return;
      case 'broken':
        this.#isBroken = true;
        this.#warn('gateway.broken', end.cause);
        return;
      case 'unanswered':
        if (this.client.isClosed) return;
        this.#warn('gateway.unanswered', end.cause);
        this.#refuse('application_failed');
        return;
      case 'unreachable':
        this.#unavailable(end.cause);
    }
  }

  #switch(upgrade: WebSocketUpgrade, raw: readonly (Buffer | string)[], application: Duplex): void {
    this.#tunnel = application;
    if (this.#entry) this.#entry.kind = 'webSockets';
    this.onAnswer(this.client.protocol === 'HTTP/2' ? 200 : 101);
    const before = bytesOf(application);
    // What came right behind the application's answer belongs to the WebSocket, too.
    before.read -= application.readableLength;
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

  /** The token that let it in is revoked. */
  #cut(): void {
    if (this.#tunnel) this.#tunnel.destroy(new Fault('aborted', { what: 'The WebSocket' }));
    else this.client.reset();
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

  #unavailable(error: unknown): void {
    // Whoever still works for us is to know that nobody waits any more.
    this.#leave();
    if (this.client.isClosed) return;
    this.#warn('gateway.unavailable', error);
    this.#refuse(refusalForFault(error));
  }

  #onClose(): void {
    this.#leave();
    // A tunnel goes on after the HTTP server is done with it.
    if (!this.#tunnel) this.#end();
  }

  #end(): void {
    this.#rooms.stalls.delete(this);
    this.#activity?.end();
    this.#entry?.end();
    this.#rooms.onAnswered?.(this.#record());
  }

  #record(): AccessRecord {
    const { client, requestId, status } = this;
    const query = client.path.indexOf('?');
    return {
      startedAtMs: this.#startedAtMs,
      requestId,
      clientAddress: client.clientAddress,
      protocol: client.protocol,
      method: client.method,
      path: query < 0 ? client.path : client.path.slice(0, query),
      microvmId: this.#place?.microvmId,
      port: this.#place?.port,
      tokenId: this.#tokenId,
      status,
      refusal: this.#refusal,
      end: this.#howItEnded(),
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      durationMs: performance.now() - this.#startedAt,
      wakeMs: this.#wakeMs,
      firstByteMs: this.#firstByteMs,
    };
  }

  #howItEnded(): AccessRecord['end'] {
    if (this.#tunnel) return 'switched';
    if (this.#refusal) return 'refused';
    if (this.status === undefined) return 'left';
    return this.#isBroken || !this.client.isAnswered ? 'broken' : 'answered';
  }

  get #signal(): AbortSignal {
    this.#gone ??= new AbortController();
    return this.#gone.signal;
  }

  #leave(): void {
    this.#gone?.abort(new Fault('aborted', { what: 'The request' }));
  }

  /** Goes on with what `work` resolves to; what it rejects with becomes a refusal, unless nobody is there to hear it. */
  #after<T>(work: Promise<T>, next: (value: T) => void): void {
    work.then(
      (value) => this.#guard(() => next(value)),
      (error: unknown) => this.#guard(() => this.#unavailable(error)),
    );
  }

  #guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#rooms.log.error('gateway.request_failed', { requestId: this.requestId, error: describe(error) });
      if (this.status === undefined) this.#refuse('microvm_unavailable');
      else this.client.reset();
    }
  }

  #warn(event: string, error: unknown): void {
    const { microvmId, port } = this.#place ?? {};
    this.#rooms.log.warn(event, { microvmId, port, requestId: this.requestId, error: describe(error) });
  }
}

/** What has passed over a stream so far; nothing where it does not count. */
function bytesOf(stream: Duplex): { read: number; written: number } {
  const counting = stream as Duplex & Partial<Pick<Socket, 'bytesRead' | 'bytesWritten'>>;
  return { read: counting.bytesRead ?? 0, written: counting.bytesWritten ?? 0 };
}

/** Reference f.7: all of these are 502 with an empty body. */
function refusalForFault(error: unknown): Refusal {
  if (isFault(error, 'guest_failed')) return 'application_unreachable';
  if (isFault(error, 'deadline_exceeded')) return 'wake_timeout';
  if (isFault(error, 'capacity_exhausted')) return 'host_full';
  return 'microvm_unavailable';
}

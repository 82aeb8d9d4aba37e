// One request from the door to its answer: host → token → port → begin activity → awake → delivery, or a shell. On the way of a request to a running MicroVM
// over a kept connection there is no promise and no timer.
import type { Duplex } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';
import { describe, Fault, isFault } from '../lib/errors.ts';
import { type Admission, admit } from './admit.ts';
import type { Entry } from './admitted.ts';
import type { Arrival, Rooms, WebSocketUpgrade } from './arrival.ts';
import { untilAwake } from './awake.ts';
import type { ClientStream } from './client-stream.ts';
import { Delivery, type DeliveryOptions } from './delivery.ts';
import type { Exchange, Upgrade } from './exchange.ts';
import { overLimit } from './over-limit.ts';
import { type Refusal, refusals, refuse } from './refusal.ts';
import { openShell, shellAgreement } from './shell.ts';
import { splice } from './splice.ts';
import type { Stallable } from './stalls.ts';
import { Tally } from './tally.ts';
import { Tunnel } from './tunnel.ts';

/** Whatever happens is answered, or the client's connection or stream is cut. Never throws. */
export function handle(rooms: Rooms, arrival: Arrival): void {
  new Passage(rooms, arrival).enter();
}

class Passage implements Exchange, Stallable {
  readonly client: ClientStream;
  readonly requestId: string;
  readonly upgrade: Upgrade | undefined;
  readonly #rooms: Rooms;
  readonly #arrival: Arrival;
  readonly #tally: Tally;
  #activity: Activity | undefined;
  #delivery: Delivery | undefined;
  #gone: AbortController | undefined;
  #entry: Entry | undefined;

  constructor(rooms: Rooms, arrival: Arrival) {
    this.#rooms = rooms;
    this.#arrival = arrival;
    this.client = arrival.client;
    this.requestId = arrival.requestId;
    this.#tally = new Tally(rooms.clock.now());
    const { upgrade } = arrival;
    this.upgrade = upgrade && {
      headers: upgrade.headers,
      onAgreed: (raw, application) => {
        this.#switch(upgrade, raw, application, (early, activity) => {
          application.write(early);
          splice(upgrade.stream, application, activity);
        });
      },
    };
    this.client.onClose(() => this.#onClose());
    rooms.stalls.add(this);
  }

  get status(): number | undefined {
    return this.#tally.status;
  }

  get doubtsPlain(): boolean {
    return this.#delivery?.doubtsPlain ?? false;
  }

  get progress(): number {
    return this.#tally.progress;
  }

  enter(): void {
    const { door } = this.#rooms;
    const { scope, credentials, upgrade } = this.#arrival;
    this.#guard(() => {
      const verdict = admit(door, this.client, scope, credentials, upgrade);
      if (verdict instanceof Promise) this.#after(verdict, (admission) => this.#admitted(admission));
      else this.#admitted(verdict);
    });
  }

  onAnswer(status: number): void {
    this.#tally.answered(status);
  }

  onBytesIn(count: number): void {
    this.#tally.bytesIn += count;
    this.#activity?.touch();
  }

  onBytesOut(count: number): void {
    this.#tally.bytesOut += count;
  }

  expire(): void {
    const { stallMs } = this.#rooms.settings;
    const late = new Fault('deadline_exceeded', { what: 'The wait for a next byte', ms: stallMs });
    this.#warn('gateway.stalled', late);
    if (this.#tally.tunnel) this.#tally.tunnel.end(late);
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
    const { microvmId, claims } = admission;
    this.#tally.admission = admission;
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
      this.#go(admission);
      return;
    }
    const since = performance.now();
    this.#after(untilAwake(waking, this.#signal, settings.wakeTimeoutMs, clock), () => {
      this.#tally.wakeMs = performance.now() - since;
      this.#go(admission);
    });
  }

  #go({ microvmId, target }: Admission): void {
    this.#rooms.dialer.sawAwake(microvmId);
    if (target === 'shell') this.#openShell(microvmId);
    else this.#deliver(microvmId, target);
  }

  #deliver(microvmId: string, port: number): void {
    const kind = this.upgrade ? 'upgrade' : this.client.head.forceHttp2 ? 'http2' : 'ordinary';
    this.#delivery = new Delivery({
      rooms: this.#rooms,
      exchange: this,
      place: { microvmId, port, kind },
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
        this.#tally.isBroken = true;
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

  #openShell(microvmId: string): void {
    const { upgrade } = this.#arrival;
    if (!upgrade) throw new Fault('internal', { what: 'A shell needs a WebSocket.' });
    this.#after(this.#rooms.dialer.dial(microvmId, 'shell', this.#signal), (guest) => {
      this.#switch(upgrade, shellAgreement(upgrade), guest, (early, activity) => {
        openShell(this.#rooms, { exchange: this, upgrade, microvmId, guest, early, activity });
      });
    });
  }

  /** `far`: of the application or shell that has agreed. `join` takes both streams over. */
  #switch(
    upgrade: WebSocketUpgrade,
    raw: readonly (Buffer | string)[],
    far: Duplex,
    join: (early: Buffer, activity: Activity) => void,
  ): void {
    const early = this.client.isClosed ? undefined : upgrade.agree(raw);
    if (!early) {
      far.destroy();
      this.client.reset();
      return;
    }
    this.#tally.tunnel = new Tunnel(far);
    if (this.#entry) this.#entry.kind = 'webSockets';
    this.onAnswer(this.client.protocol === 'HTTP/2' ? 200 : 101);
    const touch = (): void => {
      this.#tally.touches += 1;
      this.#activity?.touch();
    };
    join(early, { touch, end: () => this.#end() });
  }

  /** The token that let it in is revoked. */
  #cut(): void {
    if (this.#tally.tunnel) this.#tally.tunnel.end(new Fault('access_denied', { what: 'The token was revoked.' }));
    else this.client.reset();
  }

  #refuse(refusal: Refusal, retryAfterSeconds?: number): void {
    const { client, requestId } = this;
    this.#tally.refusal = refusal;
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
    if (!this.#tally.tunnel) this.#end();
  }

  #end(): void {
    this.#rooms.stalls.delete(this);
    this.#activity?.end();
    this.#entry?.end();
    this.#rooms.onAnswered?.(this.#tally.record(this.requestId, this.client));
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
    const { microvmId, target } = this.#tally.admission ?? {};
    this.#rooms.log.warn(event, { microvmId, target, requestId: this.requestId, error: describe(error) });
  }
}

/** Reference f.7: all of these are 502 with an empty body. */
function refusalForFault(error: unknown): Refusal {
  if (isFault(error, 'guest_failed')) return 'application_unreachable';
  if (isFault(error, 'deadline_exceeded')) return 'wake_timeout';
  if (isFault(error, 'capacity_exhausted', 'disk_full')) return 'host_full';
  if (isFault(error, 'aborted')) return 'server_stopping';
  return 'microvm_unavailable';
}

// One request from the door to its answer: host → token → port → begin activity → awake → connection → forward.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Activity, DataPlane } from '../contract/data-plane.ts';
import type { Clock } from '../lib/clock.ts';
import { describe, Fault, isFault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { type Admission, admit, type Door, type Scope } from './admit.ts';
import type { Credentials } from './credentials.ts';
import type { Dialer } from './dial.ts';
import { type Exchange, forward, type Outcome, type Upgrade } from './forward.ts';
import type { OpenShells } from './open-shells.ts';
import { type Refusal, refuse } from './refusal.ts';
import { hasBody, lingerOver } from './request-body.ts';
import type { GatewaySettings } from './settings.ts';
import type { UpstreamPool } from './upstream-pool.ts';

export interface Rooms {
  dataPlane: DataPlane;
  door: Door;
  dialer: Dialer;
  pool: UpstreamPool;
  shells: OpenShells;
  clock: Clock;
  log: Log;
  settings: GatewaySettings;
}

export interface Arrival {
  req: IncomingMessage;
  res: ServerResponse;
  scope: Scope;
  requestId: string;
  credentials: Credentials;
  expectsContinue: boolean;
  /** For WebSocket handshakes; the activity ends when `onAgreed` says so. */
  upgrade?: Omit<Upgrade, 'onAgreed'> & { onAgreed(...args: [...Parameters<Upgrade['onAgreed']>, Activity]): void };
}

/** Never rejects; whatever happens is answered, or the client's connection is destroyed. */
export async function handle(rooms: Rooms, arrival: Arrival): Promise<void> {
  const { req, res, requestId } = arrival;
  const gone = new AbortController();
  const leave = (): void => gone.abort(new Fault('aborted', { what: 'The request' }));
  res.once('close', leave);
  try {
    const admission = await admit(rooms.door, req, arrival.scope, arrival.credentials);
    const refusal = typeof admission === 'string' ? admission : await serve(rooms, arrival, admission, gone.signal);
    if (refusal) refuse(res, refusal, { requestId, explain: rooms.settings.explain });
  } catch (error) {
    rooms.log.error('gateway.request_failed', { requestId, error: describe(error) });
    if (res.headersSent) res.destroy();
    else if (!res.destroyed) refuse(res, 'microvm_unavailable', { requestId, explain: rooms.settings.explain });
  }
  if (!arrival.upgrade) lingerOver(req, res, rooms.settings.lingerMs, rooms.clock);
}

async function serve(rooms: Rooms, arrival: Arrival, to: Admission, gone: AbortSignal): Promise<Refusal | undefined> {
  const activity = rooms.dataPlane.begin(to.microvmId);
  let handedOver = false;
  const { upgrade, ...rest } = arrival;
  const exchange: Exchange = { ...rest, touch: () => activity.touch() };
  if (upgrade) {
    const onAgreed: Upgrade['onAgreed'] = (raw, application) => upgrade.onAgreed(raw, application, activity);
    exchange.upgrade = { subprotocols: upgrade.subprotocols, onAgreed };
  }
  try {
    const outcome = await attempt(rooms, exchange, to, gone);
    handedOver = outcome.kind === 'switched';
    return refusalFor(rooms, outcome, { ...to, requestId: arrival.requestId });
  } catch (error) {
    if (gone.aborted) return undefined;
    rooms.log.warn('gateway.unavailable', { ...to, requestId: arrival.requestId, error: describe(error) });
    return refusalForFault(error);
  } finally {
    if (!handedOver) activity.end();
  }
}

async function attempt(rooms: Rooms, exchange: Exchange, to: Admission, gone: AbortSignal): Promise<Outcome> {
  await awake(rooms, to.microvmId, gone);
  const outcome = await attemptOnce(rooms, exchange, to, gone, false);
  return outcome ?? (await attemptOnce(rooms, exchange, to, gone, true)) ?? neverReached();
}

/** Undefined when the connection was kept alive, turned out dead, and the request may be sent again over a fresh one. */
async function attemptOnce(
  rooms: Rooms,
  exchange: Exchange,
  { microvmId, port }: Admission,
  gone: AbortSignal,
  fresh: boolean,
): Promise<Outcome | undefined> {
  const connection = await rooms.pool.acquire(microvmId, port, gone, fresh);
  const reused = connection.uses > 0;
  const outcome = await forward(connection, exchange);
  // One that was switched belongs to its WebSocket from now on.
  if (outcome.kind !== 'switched') rooms.pool.release(microvmId, port, connection);
  const again = outcome.kind === 'unanswered' && reused && !fresh && !gone.aborted && mayRepeat(exchange);
  return again ? undefined : outcome;
}

/** RFC 9110, 9.2.2; with a body it cannot be told how much the application has seen. */
function mayRepeat({ req, upgrade }: Exchange): boolean {
  const idempotent = ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE'].includes(req.method ?? '');
  return idempotent && !hasBody(req) && !upgrade;
}

/** Holds the request until its MicroVM runs; the body stays unread meanwhile. */
export async function awake(rooms: Rooms, microvmId: string, gone: AbortSignal): Promise<void> {
  const { clock, dataPlane, dialer, settings } = rooms;
  const late = new AbortController();
  const timer = clock.after(settings.wakeTimeoutMs, () => late.abort());
  try {
    await Promise.race([
      dataPlane.awake(microvmId, AbortSignal.any([gone, late.signal])),
      aborted(gone),
      aborted(late.signal),
    ]);
    dialer.sawAwake(microvmId);
  } catch (error) {
    if (!late.signal.aborted) throw error;
    throw new Fault('deadline_exceeded', { what: 'The wake', ms: settings.wakeTimeoutMs }, error);
  } finally {
    timer.cancel();
  }
}

/** Rejects when the signal fires, even if whoever was given it does not listen. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new Fault('aborted', { what: 'The request' }));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}

function refusalFor(rooms: Rooms, outcome: Outcome, facts: Record<string, unknown>): Refusal | undefined {
  if (!('cause' in outcome)) return undefined;
  rooms.log.warn(`gateway.${outcome.kind}`, { ...facts, error: describe(outcome.cause) });
  return outcome.kind === 'unanswered' ? 'application_failed' : undefined;
}

/** Reference f.7: all of these are 502 with an empty body. */
export function refusalForFault(error: unknown): Refusal {
  if (isFault(error, 'guest_failed')) return 'application_unreachable';
  if (isFault(error, 'deadline_exceeded')) return 'wake_timeout';
  if (isFault(error, 'capacity_exhausted')) return 'host_full';
  return 'microvm_unavailable';
}

function neverReached(): never {
  throw new Fault('internal', { what: 'A fresh connection was retried.' });
}

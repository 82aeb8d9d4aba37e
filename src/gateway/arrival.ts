// A request at the door, and what its way through the gateway needs.
import type { Duplex } from 'node:stream';
import type { Activity, DataPlane } from '../contract/data-plane.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { OnAnswered } from './access-log.ts';
import type { Door, Scope } from './admit.ts';
import type { Admitted } from './admitted.ts';
import type { ClientStream } from './client-stream.ts';
import type { Credentials } from './credentials.ts';
import type { Dialer } from './dial.ts';
import type { GatewaySettings } from './settings.ts';
import type { Stalls } from './stalls.ts';
import type { Upstreams } from './upstreams.ts';

export interface Rooms {
  dataPlane: DataPlane;
  door: Door;
  dialer: Dialer;
  upstreams: Upstreams;
  stalls: Stalls;
  clock: Clock;
  log: Log;
  settings: GatewaySettings;
  onAnswered: OnAnswered | undefined;
  admitted: Admitted | undefined;
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

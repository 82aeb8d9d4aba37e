// A request at the door, and what its way through the gateway needs.
import type { Duplex } from 'node:stream';
import type { DataPlane } from '../contract/data-plane.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { OnAnswered } from './access-log.ts';
import type { Door, Handshake, Scope } from './admit.ts';
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

/** The client's side of a WebSocket handshake. */
export interface WebSocketUpgrade extends Handshake {
  /** For the application, beside those of the request. */
  headers: readonly string[];
  /** The WebSocket's bytes, after `agree`. */
  stream: Duplex;
  /**
   * Tells the client that the application, with these headers, has agreed. Returns what the client has said early; undefined when it is gone, or
   * the application has not kept to the protocol.
   */
  agree(rawHeaders: readonly (Buffer | string)[]): Buffer | undefined;
}

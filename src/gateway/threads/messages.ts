// What the server's thread and a gateway's thread say to each other. All that goes to a thread is taken in the order it was sent.
import type { EndpointEvent, EndpointFacts } from '../../contract/data-plane.ts';
import type { Traffic } from '../../contract/traffic.ts';
import type { FaultWords } from '../../lib/errors.ts';
import type { LogLevel } from '../../lib/log.ts';
import type { TlsKeyPair } from '../listener.ts';
import type { GatewaySettings } from '../settings.ts';
import type { NumberedTrust } from './followed-trust.ts';

/** What a thread begins with. */
export interface ThreadSetUp {
  /** Its counter in the signs of life. */
  index: number;
  suffix: string;
  settings: GatewaySettings;
  endIsActivity: boolean;
  logLevel: LogLevel;
  tls: TlsKeyPair;
  trust: NumberedTrust;
  /** Of `TrustVersion`. */
  trustVersion: SharedArrayBuffer;
  /** Path of the access log, if there is to be one. */
  accessLog: string | undefined;
  endpoints: EndpointFacts[];
  /** One cell of 32 bits: how many messages the thread has taken. */
  taken: SharedArrayBuffer;
}

export type ToThread =
  | { kind: 'endpoint'; event: EndpointEvent }
  /** Answers `awake`; without `fault` the MicroVM ran when this was sent. */
  | { kind: 'awoke'; microvmId: string; fault?: FaultWords }
  | { kind: 'trust'; trust: NumberedTrust }
  /** The access log was moved away. */
  | { kind: 'reopenLog' }
  | { kind: 'certificate'; tls: TlsKeyPair }
  | { kind: 'order'; id: number; order: Order };

/** What its gateway shall do; as in `Gateway`. */
export type Order =
  | { do: 'listen'; host: string; port: number; shared: boolean }
  | { do: 'listenFor'; microvmId: string; port: number }
  | { do: 'closeFor'; microvmId: string }
  | { do: 'close'; graceMs: number }
  /** Says what was counted so far. */
  | { do: 'count' };

/** What an order may bring. */
export interface Result {
  port?: number;
  traffic?: Traffic;
}

export type FromThread =
  | { kind: 'ready' }
  /** At most one for each MicroVM that is not answered yet. */
  | { kind: 'awake'; microvmId: string }
  | { kind: 'done'; id: number; result: Result }
  | { kind: 'failed'; id: number; fault: FaultWords };

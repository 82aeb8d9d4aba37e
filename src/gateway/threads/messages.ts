// What the server's thread and a gateway's thread say to each other. All that goes to a thread is taken in the order it was sent.
import type { EndpointEvent, EndpointFacts } from '../../contract/data-plane.ts';
import type { FaultWords } from '../../lib/errors.ts';
import type { LogLevel } from '../../lib/log.ts';
import type { TokenKey } from '../key-ring.ts';
import type { TlsKeyPair } from '../listener.ts';
import type { GatewaySettings } from '../settings.ts';

/** What a thread begins with. */
export interface ThreadSetUp {
  /** Its counter in the signs of life. */
  index: number;
  suffix: string;
  settings: GatewaySettings;
  endIsActivity: boolean;
  logLevel: LogLevel;
  tls: TlsKeyPair;
  keys: TokenKey[];
  endpoints: EndpointFacts[];
  /** One cell of 32 bits: how many messages the thread has taken. */
  taken: SharedArrayBuffer;
}

export type ToThread =
  | { kind: 'endpoint'; event: EndpointEvent }
  /** Answers `awake`; without `fault` the MicroVM ran when this was sent. */
  | { kind: 'awoke'; microvmId: string; fault?: FaultWords }
  | { kind: 'keys'; keys: TokenKey[] }
  | { kind: 'certificate'; tls: TlsKeyPair }
  | { kind: 'order'; id: number; order: Order };

/** What its gateway shall do; as in `Gateway`. */
export type Order =
  | { do: 'listen'; host: string; port: number; shared: boolean }
  | { do: 'listenFor'; microvmId: string; port: number }
  | { do: 'closeFor'; microvmId: string }
  | { do: 'close'; graceMs: number };

export type FromThread =
  | { kind: 'ready' }
  /** At most one for each MicroVM that is not answered yet. */
  | { kind: 'awake'; microvmId: string }
  | { kind: 'done'; id: number; port?: number; fault?: FaultWords };

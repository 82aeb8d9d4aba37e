// One connection to an application, of either HTTP version.
import type { Duplex } from 'node:stream';
import type { Exchange, Outcome } from './exchange.ts';

export interface UpstreamConnection {
  /** Its close is the end of the connection. */
  readonly duplex: Duplex;
  /** Exchanges at once. */
  readonly capacity: number;
  /** Takes new exchanges. */
  readonly isAlive: boolean;
  /** Exchanges that it was used for so far. */
  readonly uses: number;
  /** Calls back once, never before it returns. */
  send(exchange: Exchange, settle: (outcome: Outcome) => void): void;
  /** Ends the connection when an application sends what is no answer; called now and then. */
  check(): void;
  destroy(error: Error): void;
}

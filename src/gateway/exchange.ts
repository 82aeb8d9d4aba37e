// What passes between a client and a connection to an application, whatever the two speak.
import type { Duplex } from 'node:stream';
import type { ClientStream } from './client-stream.ts';

export interface Exchange {
  readonly client: ClientStream;
  readonly requestId: string;
  /** Present for WebSocket handshakes. */
  readonly upgrade: Upgrade | undefined;
  /** It is not known whether the application speaks TLS, and the request could be sent again: an answer of 400 may be a TLS server's. */
  readonly doubtsPlain: boolean;
  /** Of the answer; undefined before it has begun. */
  readonly status: number | undefined;
  /** The head of an answer is on its way to the client. */
  onAnswer(status: number): void;
  /** Bytes of the body came from the client, or are on their way there. */
  onBytesIn(count: number): void;
  onBytesOut(count: number): void;
}

export interface Upgrade {
  /** Headers for the application, flat, in place of those of the client that concern the handshake. */
  readonly headers: readonly string[];
  /** Takes both streams over once the application has agreed. */
  onAgreed(rawHeaders: readonly (Buffer | string)[], application: Duplex): void;
}

/**
 * `answered`: the whole answer is on its way. `switched`: the application agreed to the upgrade. `broken`: part of an answer went out, and the
 * client was cut off so that it cannot take the part for the whole. `unanswered`: nothing went out. `doubted`: an answer came that a TLS server may
 * have given; nothing went out.
 */
export type Outcome = { kind: 'answered' | 'switched' | 'doubted' } | { kind: 'broken' | 'unanswered'; cause: Error };

// What the client of a WebSocket is told when it is this host that ends the connection. Close codes: RFC 6455, 7.4.1.
import { isFault } from '../lib/errors.ts';

export interface Farewell {
  code: number;
  reason: string;
}

/** How long a client gets to take the close frame and to answer it. */
export const farewellMs = 1_000;

const revoked: Farewell = { code: 1008, reason: 'The token was revoked.' };
const silent: Farewell = { code: 1008, reason: 'The connection was silent for too long.' };
const goingAway: Farewell = { code: 1001, reason: 'The MicroVM was suspended or has ended.' };

/** `error`: what the application's or shell's stream ended with. Undefined when that was not this host's doing. */
export function farewellAfter(error: unknown): Farewell | undefined {
  if (!isFault(error)) return undefined;
  if (isFault(error, 'access_denied')) return revoked;
  return isFault(error, 'deadline_exceeded') ? silent : goingAway;
}

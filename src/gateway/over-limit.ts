// What is beyond the limits of an endpoint is refused at the door. A client's connection counts from its first request that is let in until
// it is closed, whatever its requests are about; one of HTTP/2 counts once, however many streams it has.
import type { Limiter } from '../contract/limiter.ts';
import type { ClientConnection } from './client-stream.ts';
import type { Refusal } from './refusal.ts';

export interface OverLimit {
  refusal: Refusal;
  retryAfterSeconds: number;
}

/** MicroVMs that a connection counts for. */
const counted = new WeakMap<ClientConnection, Set<string>>();

/** How soon a connection may be free is not known: soon, usually. */
const connectionAgainSeconds = 1;

/** Undefined when a request over this connection, which is open, is within the limits: then it is counted. */
export function overLimit(limiter: Limiter, connection: ClientConnection, microvmId: string): OverLimit | undefined {
  if (!countConnection(connection, microvmId, limiter)) {
    return { refusal: 'too_many_connections', retryAfterSeconds: connectionAgainSeconds };
  }
  const waitMs = limiter.request();
  return waitMs > 0 ? { refusal: 'too_many_requests', retryAfterSeconds: Math.ceil(waitMs / 1000) } : undefined;
}

/** False when the MicroVM has as many as it may. */
function countConnection(connection: ClientConnection, microvmId: string, limiter: Limiter): boolean {
  const microvmIds = counted.get(connection) ?? new Set();
  if (microvmIds.has(microvmId)) return true;
  if (!limiter.connect()) return false;
  counted.set(connection, microvmIds.add(microvmId));
  connection.once('close', () => limiter.disconnect());
  return true;
}

// Which client connections count for which MicroVMs. One counts from its first request that the door lets in until it is closed, whatever
// its requests are about; one of HTTP/2 counts once, however many streams it has.
import type { Limiter } from '../contract/limiter.ts';
import type { ClientConnection } from './client-stream.ts';

const counted = new WeakMap<ClientConnection, Set<string>>();

/** False when the MicroVM has as many connections as it may. `connection` must be open. */
export function countConnection(connection: ClientConnection, microvmId: string, limiter: Limiter): boolean {
  const microvmIds = counted.get(connection) ?? new Set();
  if (microvmIds.has(microvmId)) return true;
  if (!limiter.connect()) return false;
  counted.set(connection, microvmIds.add(microvmId));
  connection.once('close', () => limiter.disconnect());
  return true;
}

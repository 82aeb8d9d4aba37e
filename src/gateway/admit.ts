// The door: which MicroVM a request is for, and whether it may go there. Nothing is woken before this says yes.
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { DataPlane } from '../contract/data-plane.ts';
import type { Clock } from '../lib/clock.ts';
import type { Credentials } from './credentials.ts';
import type { Refusal } from './refusal.ts';
import { allowsPort, type Tokens } from './token.ts';

export interface Admission {
  microvmId: string;
  port: number;
}

export interface Door {
  dataPlane: DataPlane;
  tokens: Tokens;
  clock: Clock;
  suffix: string;
}

/** What a listener serves: all hosts of the suffix, or one MicroVM under a loopback name. */
export type Scope = { microvmId: string } | 'suffix';

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]']);

/** Order: host, token, port. */
export async function admit(
  door: Door,
  req: IncomingMessage,
  scope: Scope,
  credentials: Credentials,
): Promise<Admission | Refusal> {
  if (!req.url?.startsWith('/')) return 'malformed_request';
  const place = locate(door, req, scope);
  if (typeof place === 'string') return place;
  const claims = await door.tokens.read(credentials.token, place.microvmId, door.clock.now());
  if (!claims) return 'token_missing';
  if (claims.host !== undefined && place.host !== undefined && claims.host !== place.host) return 'token_missing';
  if (credentials.port === 'malformed') return 'port_malformed';
  if (!allowsPort(claims, credentials.port)) return 'port_denied';
  return { microvmId: place.microvmId, port: credentials.port };
}

function locate(door: Door, req: IncomingMessage, scope: Scope): { microvmId: string; host?: string } | Refusal {
  const host = bareHost(req.headers.host);
  if (host === undefined) return 'malformed_request';
  const serverName = req.socket instanceof TLSSocket ? req.socket.servername : undefined;
  // Clients that connect to an address send no server name.
  if (typeof serverName === 'string' && serverName !== '' && serverName.toLowerCase() !== host) return 'host_mismatch';
  if (scope !== 'suffix') return loopbackNames.has(host) ? scope : 'host_unknown';
  if (!host.endsWith(`.${door.suffix}`)) return 'host_unknown';
  return door.dataPlane.find(host) ?? 'host_unknown';
}

/** Lower case, without port and trailing dot; undefined when it is no host. */
function bareHost(value: string | undefined): string | undefined {
  const match = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/.exec((value ?? '').toLowerCase());
  return match?.[1]?.replace(/\.$/, '');
}

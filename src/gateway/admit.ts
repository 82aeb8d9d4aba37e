// The door: which MicroVM a request is for, and whether it may go there. Nothing is woken before this says yes.
import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { DataPlane } from '../contract/data-plane.ts';
import type { TokenClaims } from '../contract/token-claims.ts';
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
  if (!isForHost(claims, place)) return 'token_missing';
  if (claims.shell) return 'shell_only';
  if (credentials.port === 'malformed') return 'port_malformed';
  if (!allowsPort(claims, credentials.port)) return 'port_denied';
  return { microvmId: place.microvmId, port: credentials.port };
}

/** The MicroVM whose shell a request may open; undefined for everything else, which goes through `admit`. */
export async function admitToShell(
  door: Door,
  req: IncomingMessage,
  scope: Scope,
  { token, port }: Credentials,
): Promise<string | undefined> {
  if (!/^\/(shell)?(\?|$)/.test(req.url ?? '') || port === 'malformed') return undefined;
  const place = locate(door, req, scope);
  if (typeof place === 'string') return undefined;
  const claims = await door.tokens.read(token, place.microvmId, door.clock.now());
  if (!claims?.shell || !isForHost(claims, place)) return undefined;
  return place.microvmId;
}

interface Place {
  microvmId: string;
  host?: string;
}

const isForHost = (claims: TokenClaims, { host }: Place): boolean =>
  claims.host === undefined || host === undefined || claims.host === host;

function locate(door: Door, req: IncomingMessage, scope: Scope): Place | Refusal {
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

// The door: which MicroVM a request is for, and whether it may go there. Nothing is woken before this says yes.
import type { DataPlane } from '../contract/data-plane.ts';
import type { StreamTarget } from '../contract/shell-frames.ts';
import type { TokenClaims } from '../contract/token-claims.ts';
import type { Clock } from '../lib/clock.ts';
import type { ClientStream } from './client-stream.ts';
import type { Credentials } from './credentials.ts';
import type { Refusal } from './refusal.ts';
import { allowsPort, type TokenReader } from './token.ts';

export interface Admission {
  microvmId: string;
  target: StreamTarget;
  /** Of the token that opened the door. */
  claims: TokenClaims;
}

export interface Door {
  dataPlane: DataPlane;
  tokens: Pick<TokenReader, 'read'>;
  clock: Clock;
  suffix: string;
}

/** What a listener serves: all hosts of the suffix, or one MicroVM under a loopback name. */
export type Scope = { microvmId: string } | 'suffix';

/** Of a WebSocket. */
export interface Handshake {
  /** `Sec-WebSocket-Key`; undefined when the handshake is not one of RFC 6455. */
  key: string | undefined;
}

interface Destination {
  microvmId: string;
  host?: string;
}

const loopbackNames = new Set(['localhost', '127.0.0.1', '[::1]']);
/** RFC 9110, 9.1 and RFC 3986, 3.3; what is neither would be cut off or sent on differently by whoever comes next. */
const pathPattern = /^\/[\x21-\x7e\x80-\xff]*$/;
/** Both are reported to work. Reference g. */
const shellPathPattern = /^\/(shell)?(\?|$)/;

/** Order: form, host, token, port. At once when the token was seen before. */
export function admit(
  door: Door,
  client: ClientStream,
  scope: Scope,
  credentials: Credentials,
  handshake: Handshake | undefined,
): Admission | Refusal | Promise<Admission | Refusal> {
  if (!pathPattern.test(client.path) || client.head.expectsOther) return 'malformed_request';
  const to = locate(door, client, scope);
  if (typeof to === 'string') return to;
  const claims = door.tokens.read(credentials.token, to.microvmId, door.clock.now());
  const judge = (read: TokenClaims | undefined): Admission | Refusal => {
    if (!read) return 'token_missing';
    if (read.host !== undefined && to.host !== undefined && read.host !== to.host) return 'token_missing';
    const target = targetOf(read, client, credentials, handshake);
    return typeof target === 'object' ? { microvmId: to.microvmId, claims: read, ...target } : target;
  };
  return claims instanceof Promise ? claims.then(judge) : judge(claims);
}

function targetOf(
  claims: TokenClaims,
  { path }: ClientStream,
  { port }: Credentials,
  handshake: Handshake | undefined,
): Pick<Admission, 'target'> | Refusal {
  if (claims.shell) {
    if (!handshake || port === 'malformed' || !shellPathPattern.test(path)) return 'shell_only';
    return handshake.key === undefined ? 'malformed_request' : { target: 'shell' };
  }
  if (port === 'malformed') return 'port_malformed';
  return allowsPort(claims, port) ? { target: port } : 'port_denied';
}

function locate(door: Door, client: ClientStream, scope: Scope): Destination | Refusal {
  const host = bareHost(client.head.host);
  if (host === undefined) return 'malformed_request';
  const { serverName } = client;
  // Clients that connect to an address send no server name.
  if (serverName !== undefined && serverName !== '' && serverName.toLowerCase() !== host) return 'host_mismatch';
  if (scope !== 'suffix') return loopbackNames.has(host) ? scope : 'host_unknown';
  if (!host.endsWith(`.${door.suffix}`)) return 'host_unknown';
  return door.dataPlane.find(host) ?? 'host_unknown';
}

/** Lower case, without port and trailing dot; undefined when it is no host. */
function bareHost(value: string | undefined): string | undefined {
  const match = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::[0-9]{1,5})?$/.exec((value ?? '').toLowerCase());
  return match?.[1]?.replace(/\.$/, '');
}

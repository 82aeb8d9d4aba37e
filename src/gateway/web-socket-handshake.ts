// The handshake of a WebSocket (RFC 6455, 4), as far as it is the same for clients of HTTP/1.1 and HTTP/2.
import { createHash } from 'node:crypto';
import { readAnswerHead } from './answer-head.ts';
import { platformSubprotocol, type WebSocketCredentials } from './credentials.ts';

/** RFC 6455, 1.3. */
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** `Sec-WebSocket-Accept`. */
export const acceptOf = (key: string): string =>
  createHash('sha1')
    .update(key + acceptSuffix)
    .digest('base64');

/** The value of the first header of this name, which is lower case, in flat headers. */
export function headerIn(flat: readonly string[], name: string): string | undefined {
  const at = flat.findIndex((one, i) => i % 2 === 0 && one.toLowerCase() === name);
  return at < 0 ? undefined : flat[at + 1];
}

/** `version` and `key` as they came: the key, or undefined when nobody who keeps to RFC 6455 could agree. */
export const goodKey = (version: string | undefined, key: string | undefined): string | undefined =>
  version === '13' && key !== undefined && /^[+/0-9A-Za-z]{22}==$/.test(key) ? key : undefined;

/** What the application gets to choose from. */
export function subprotocolHeader({ subprotocols }: WebSocketCredentials): string[] {
  return subprotocols.length === 0 ? [] : ['sec-websocket-protocol', subprotocols.join(', ')];
}

/** Headers for the client of a handshake that was agreed to with the headers `raw`. */
export function agreedHeaders(
  raw: readonly (Buffer | string)[],
  requestId: string,
  { marked }: WebSocketCredentials,
  lowerCase: boolean,
): string[] {
  const { forward } = readAnswerHead(raw, requestId, lowerCase);
  if (marked && headerIn(forward, 'sec-websocket-protocol') === undefined) {
    const name = 'Sec-WebSocket-Protocol';
    forward.push(lowerCase ? name.toLowerCase() : name, platformSubprotocol);
  }
  return forward;
}

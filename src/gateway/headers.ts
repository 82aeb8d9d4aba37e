// Which headers pass, in both directions. Reference f.4; hop-by-hop: RFC 9110, 7.6.1.
import type { IncomingMessage } from 'node:http';

// `expect` is answered by the gateway itself, and `host` is set from the one that was used for routing.
const requestOnly = new Set(['expect', 'host', 'trailer', 'x-amzn-requestid']);
const responseOnly = new Set(['x-amzn-requestid']);
const hopByHop = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
]);
const platformPrefix = 'x-aws-proxy-';

/** Headers for the application, flat; a WebSocket's subprotocols are replaced by `subprotocols`. */
export function requestHeaders(req: IncomingMessage, requestId: string, subprotocols?: readonly string[]): string[] {
  const raw = req.rawHeaders;
  const listed = connectionListed(raw);
  const kept = pairs(raw).filter(([name]) => {
    const lower = name.toLowerCase();
    if (subprotocols && lower === 'sec-websocket-protocol') return false;
    return !requestOnly.has(lower) && !hopByHop.has(lower) && !lower.startsWith(platformPrefix) && !listed.has(lower);
  });
  const offered = subprotocols?.length ? [['sec-websocket-protocol', subprotocols.join(', ')]] : [];
  return [['host', req.headers.host ?? ''], ...kept, ...offered, ['x-amzn-requestid', requestId]].flat();
}

/** Headers for the client, flat, from the application's as undici has them. */
export function responseHeaders(raw: readonly string[], requestId: string): string[] {
  const listed = connectionListed(raw);
  const kept = pairs(raw).filter(([name]) => {
    const lower = name.toLowerCase();
    return !responseOnly.has(lower) && !hopByHop.has(lower) && !listed.has(lower);
  });
  return [...kept, ['x-amzn-requestid', requestId]].flat();
}

/** Value of a header in a flat list; undefined when it is not there. */
export function headerIn(raw: readonly string[], wanted: string): string | undefined {
  return pairs(raw).find(([name]) => name.toLowerCase() === wanted)?.[1];
}

/** Raw headers as undici gives them, as text. */
export function headerTexts(raw: unknown): string[] {
  if (!Array.isArray(raw)) return [];
  return raw.map((part: unknown) => (Buffer.isBuffer(part) ? part.toString('latin1') : String(part)));
}

/** Names that `Connection` lists concern this hop only. Framing and length stay: they are ours to decide on. */
function connectionListed(raw: readonly string[]): Set<string> {
  const listed = pairs(raw)
    .filter(([name]) => name.toLowerCase() === 'connection')
    .flatMap(([, value]) => value.split(',').map((name) => name.trim().toLowerCase()));
  return new Set(listed.filter((name) => name !== 'content-length'));
}

function pairs(raw: readonly string[]): [string, string][] {
  const found: [string, string][] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) found.push([raw[i] ?? '', raw[i + 1] ?? '']);
  return found;
}

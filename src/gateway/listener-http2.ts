// HTTP/2 of clients: what they may hold and do, and streams as requests. RFC 9113; RFC 8441 for WebSockets.
import { randomUUID } from 'node:crypto';
import {
  constants,
  type Http2SecureServer,
  type IncomingHttpHeaders,
  type SecureServerOptions,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Scope } from './admit.ts';
import type { Rooms } from './arrival.ts';
import { Http2Client } from './client-http2.ts';
import { headerCredentials } from './credentials.ts';
import { handle } from './handle.ts';
import { type Refusal, refuse } from './refusal.ts';
import type { GatewaySettings } from './settings.ts';
import { serveExtendedConnect } from './web-socket-http2.ts';

/** What a client may send before it is read: of one request, and of all that are open. */
const streamWindowBytes = 512 * 1024;
const sessionWindowBytes = 8 << 20;
const maxHeaderListBytes = 16 * 1024;

/** What `node:http2` enforces by itself. nghttp2 bounds settings, pings and continuation frames on its own. */
export function http2Limits({ maxStreams }: GatewaySettings): SecureServerOptions {
  return {
    settings: {
      maxConcurrentStreams: maxStreams,
      initialWindowSize: streamWindowBytes,
      maxHeaderListSize: maxHeaderListBytes,
      enableConnectProtocol: true,
    },
    maxHeaderListPairs: 256,
    // Streams that are opened and reset at once (CVE-2023-44487): so many at a time, and so many a second.
    streamResetBurst: 1_000,
    streamResetRate: 33,
    // In MiB: what is queued for a client that does not read.
    maxSessionMemory: 16,
  } as SecureServerOptions;
}

export function serveHttp2(server: Http2SecureServer, rooms: Rooms, scope: Scope): void {
  server.on('session', (session) => limitIdle(session, rooms.settings));
  server.on('sessionError', () => {});
  server.on(
    'stream',
    (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, flags: number, rawHeaders: string[]) => {
      const client = new Http2Client(stream, {
        method: String(headers[':method']),
        path: String(headers[':path'] ?? ''),
        protocol: headers[':protocol']?.toString(),
        rawHeaders,
        endsHere: (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0,
      });
      const requestId = randomUUID();
      const reject = (refusal: Refusal): void =>
        refuse(client, refusal, { requestId, explain: rooms.settings.explain });
      // nghttp2 tells the limit to the client and leaves it at that.
      if (client.head.size > maxHeaderListBytes) reject('headers_too_large');
      else if (client.method !== 'CONNECT') {
        handle(rooms, { client, scope, requestId, credentials: headerCredentials(client.head) });
      } else if (headers[':protocol'] === 'websocket') {
        serveExtendedConnect(rooms, { client, scope, requestId });
      } else reject(headers[':protocol'] === undefined ? 'malformed_request' : 'upgrade_unsupported');
    },
  );
}

/** A connection without requests is closed after a while; one that has not had any yet gets less time. */
function limitIdle(session: ServerHttp2Session, { headersTimeoutMs, keepAliveMs }: GatewaySettings): void {
  let open = 0;
  session.setLocalWindowSize(sessionWindowBytes);
  session.setTimeout(headersTimeoutMs);
  session.on('timeout', () => {
    if (open === 0) session.destroy();
  });
  session.on('stream', (stream: ServerHttp2Stream) => {
    open += 1;
    if (open === 1) session.setTimeout(0);
    stream.once('close', () => {
      open -= 1;
      if (open === 0 && !session.destroyed) session.setTimeout(keepAliveMs);
    });
  });
}

// WebSockets over HTTP/2 (RFC 8441): an extended CONNECT of the client is an upgrade of HTTP/1.1 to whoever it leads to.
import { randomBytes } from 'node:crypto';
import type { Scope } from './admit.ts';
import type { Rooms } from './arrival.ts';
import type { Http2Client } from './client-http2.ts';
import { webSocketCredentials } from './credentials.ts';
import { handle } from './handle.ts';
import { acceptOf, agreedHeaders, goodKey, headerIn, subprotocolHeader } from './web-socket-handshake.ts';

export interface Http2Handshake {
  client: Http2Client;
  scope: Scope;
  requestId: string;
}

/** Answers 200, after which the stream is the WebSocket, or refuses with an ordinary answer. */
export function serveExtendedConnect(rooms: Rooms, { client, scope, requestId }: Http2Handshake): void {
  const credentials = webSocketCredentials(client.head);
  // HTTP/2 has no key: it stands for what the two ends of a connection without one could confuse.
  const key = randomBytes(16).toString('base64');
  handle(rooms, {
    client,
    scope,
    requestId,
    credentials,
    upgrade: {
      headers: ['sec-websocket-key', key, ...subprotocolHeader(credentials)],
      key: goodKey(headerIn(client.head.forward, 'sec-websocket-version'), key),
      stream: client.body,
      agree(raw) {
        const headers = agreedHeaders(raw, requestId, credentials, true);
        const at = headers.indexOf('sec-websocket-accept');
        if (client.isClosed || at < 0 || headers[at + 1] !== acceptOf(key)) return undefined;
        headers.splice(at, 2);
        client.respond(200, '', headers, { empty: false, trailers: false });
        return Buffer.alloc(0);
      },
    },
  });
}

// WebSockets over HTTP/2 (RFC 8441): an extended CONNECT of the client becomes an upgrade of HTTP/1.1 at the application.
import { createHash, randomBytes } from 'node:crypto';
import type { Scope } from './admit.ts';
import type { Rooms } from './arrival.ts';
import type { Http2Client } from './client-http2.ts';
import { webSocketCredentials } from './credentials.ts';
import { handle } from './handle.ts';
import { splice } from './splice.ts';
import { agreedHeaders, subprotocolHeader } from './web-socket.ts';

/** RFC 6455, 1.3. */
const acceptSuffix = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export interface Http2Handshake {
  client: Http2Client;
  scope: Scope;
  requestId: string;
}

/** Answers 200 and splices the stream, or refuses with an ordinary answer. */
export function serveExtendedConnect(rooms: Rooms, { client, scope, requestId }: Http2Handshake): void {
  const credentials = webSocketCredentials(client.head);
  // HTTP/2 has no key: it stands for what the two ends of a connection without one could confuse.
  const key = randomBytes(16).toString('base64');
  const accept = createHash('sha1')
    .update(key + acceptSuffix)
    .digest('base64');
  const { body: stream } = client;
  handle(rooms, {
    client,
    scope,
    requestId,
    credentials,
    upgrade: {
      headers: ['sec-websocket-key', key, ...subprotocolHeader(credentials)],
      onAgreed(raw, application, activity) {
        const headers = agreedHeaders(raw, requestId, credentials, true);
        const at = headers.indexOf('sec-websocket-accept');
        if (client.isClosed || at < 0 || headers[at + 1] !== accept) {
          application.destroy();
          client.reset();
          activity.end();
          return;
        }
        headers.splice(at, 2);
        client.respond(200, '', headers, { empty: false, trailers: false });
        splice(stream, application, activity);
      },
    },
  });
}

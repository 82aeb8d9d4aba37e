// A TLS listener for HTTP/2 and HTTP/1.1: limits on what a client may hold, and the way from Node's events to ours.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2SecureServer, type SecureServerOptions } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Scope } from './admit.ts';
import type { Rooms } from './arrival.ts';
import { Http1Client } from './client-http1.ts';
import { headerCredentials } from './credentials.ts';
import { handle } from './handle.ts';
import { http2Limits, serveHttp2 } from './listener-http2.ts';
import { type Refusal, refusalHeaders, refusals, refuse } from './refusal.ts';
import { isWebSocket, serveUpgrade } from './web-socket.ts';

export interface TlsKeyPair {
  /** PEM. */
  key: string;
  cert: string;
  /** 48 bytes, where several listeners have to know each other's sessions. */
  ticketKeys?: Buffer;
}

export const maxHeaderBytes = 16 * 1024;
/** How often Node looks for connections whose headers are overdue. */
const overdueCheckMs = 1_000;

/** Not yet listening. */
export function createListener(rooms: Rooms, scope: Scope, tls: TlsKeyPair): Http2SecureServer {
  const { settings } = rooms;
  const http1 = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: settings.headersTimeoutMs,
    // Streams may last as long as they like.
    requestTimeout: 0,
    keepAliveTimeout: settings.keepAliveMs,
    connectionsCheckingInterval: overdueCheckMs,
    // A missing host is refused by the door, with the headers that our refusals have.
    requireHostHeader: false,
    noDelay: true,
    // Clients that vanished without a word.
    keepAlive: true,
    keepAliveInitialDelay: 60_000,
  };
  const options: SecureServerOptions = {
    ...http1,
    ...http2Limits(settings),
    ...tls,
    allowHTTP1: true,
    minVersion: 'TLSv1.2',
    handshakeTimeout: settings.headersTimeoutMs,
  };
  const server = createSecureServer(options);
  server.maxConnections = settings.maxConnections;
  // Its types do not know what it takes from the server for HTTP/1.1: upgrades other than to WebSockets are ignored.
  Object.assign(server, { shouldUpgradeCallback: isWebSocket });
  // It would wrap every stream of HTTP/2 in the likeness of a request of HTTP/1.1 as soon as somebody listens for requests.
  server.removeAllListeners('newListener');
  const arrive = (req: IncomingMessage, res: ServerResponse): void => {
    const client = new Http1Client(req, res, rooms.clock);
    // The parser takes a line without version for HTTP/0.9, and headers behind it all the same.
    if (req.httpVersionMajor !== 1) {
      res.shouldKeepAlive = false;
      refuse(client, 'malformed_request', { requestId: randomUUID(), explain: settings.explain });
      return;
    }
    handle(rooms, { client, scope, requestId: randomUUID(), credentials: headerCredentials(client.head) });
  };
  const events = server as unknown as Http1Events;
  events.on('request', arrive);
  events.on('checkContinue', arrive);
  events.on('checkExpectation', arrive);
  events.on('upgrade', (req, socket, head) => {
    serveUpgrade(rooms, { req, socket, head, scope, requestId: randomUUID() });
  });
  events.on('connect', (_, socket) => answerRaw(rooms, socket, 'malformed_request'));
  events.on('clientError', (error, socket) => answerRaw(rooms, socket, refusalOf(error)));
  serveHttp2(server, rooms, scope);
  return server;
}

/** What the server emits for HTTP/1.1 and its types do not tell. */
interface Http1Events {
  on(
    event: 'request' | 'checkContinue' | 'checkExpectation',
    listener: (req: IncomingMessage, res: ServerResponse) => void,
  ): this;
  on(event: 'upgrade' | 'connect', listener: (req: IncomingMessage, socket: Duplex, head: Buffer) => void): this;
  on(event: 'clientError', listener: (error: NodeJS.ErrnoException, socket: Duplex) => void): this;
}

function refusalOf(error: NodeJS.ErrnoException): Refusal {
  if (error.code === 'HPE_HEADER_OVERFLOW') return 'headers_too_large';
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'request_timeout';
  return 'malformed_request';
}

/** Where Node has no response object: an answer without body, then the end of the connection. */
function answerRaw(rooms: Rooms, socket: Duplex, refusal: Refusal): void {
  socket.on('error', () => {});
  // Behind an answer that is under way, a second head would look like part of its body.
  const busy = '_httpMessage' in socket && socket._httpMessage !== null && socket._httpMessage !== undefined;
  if (!socket.writable || busy) {
    socket.destroy();
    return;
  }
  const { status, body } = refusals[refusal];
  const headers = [...refusalHeaders(refusal, { requestId: randomUUID(), explain: rooms.settings.explain })];
  const lines = ['connection', 'close', ...headers].map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`));
  socket.end(`HTTP/1.1 ${status} Refused\r\n${lines.join('')}\r\n${body}`, () => socket.destroy());
}

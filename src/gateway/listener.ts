// A TLS listener: limits on what a client may hold, and the way from Node's events to ours.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerOptions, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { Scope } from './admit.ts';
import { headerCredentials } from './credentials.ts';
import { handle, type Rooms } from './handle.ts';
import { type Refusal, refusalHeaders, refusals, refuse } from './refusal.ts';
import { isWebSocket, serveUpgrade } from './web-socket.ts';

export interface TlsKeyPair {
  /** PEM. */
  key: string;
  cert: string;
}

const maxHeaderBytes = 16 * 1024;
/** How often Node looks for connections whose headers are overdue. */
const overdueCheckMs = 1_000;

/** Not yet listening. */
export function createListener(rooms: Rooms, scope: Scope, tls: TlsKeyPair): Server {
  const { settings } = rooms;
  // `shouldUpgradeCallback` is younger than Node 22 and its types; where it is unknown, other upgrades are refused instead of ignored.
  const options: ServerOptions & { shouldUpgradeCallback(req: IncomingMessage): boolean } = {
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: settings.headersTimeoutMs,
    // Streams may last as long as they like.
    requestTimeout: 0,
    keepAliveTimeout: settings.keepAliveMs,
    connectionsCheckingInterval: overdueCheckMs,
    // A missing host is refused by the door, with the headers that our refusals have.
    requireHostHeader: false,
    noDelay: true,
    shouldUpgradeCallback: isWebSocket,
  };
  const server = createServer({
    ...options,
    ...tls,
    ALPNProtocols: ['http/1.1'],
    minVersion: 'TLSv1.2',
    handshakeTimeout: settings.headersTimeoutMs,
  });
  server.maxConnections = settings.maxConnections;
  const arrive = (req: IncomingMessage, res: ServerResponse, expectsContinue: boolean): void => {
    const credentials = headerCredentials(req);
    void handle(rooms, { req, res, scope, requestId: randomUUID(), credentials, expectsContinue });
  };
  server.on('request', (req, res) => arrive(req, res, false));
  server.on('checkContinue', (req, res) => arrive(req, res, true));
  server.on('checkExpectation', (_, res: ServerResponse) =>
    refuse(res, 'malformed_request', { requestId: randomUUID(), explain: settings.explain }),
  );
  server.on('upgrade', (req, socket, head) => {
    void serveUpgrade(rooms, { req, socket, head, scope, requestId: randomUUID() });
  });
  server.on('connect', (_, socket) => answerRaw(rooms, socket, 'malformed_request'));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => answerRaw(rooms, socket, refusalOf(error)));
  return server;
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

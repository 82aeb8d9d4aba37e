// Upgrade requests over HTTP/1.1: the handshake as an exchange, then the connection as a byte stream. Reference f.6.
import type { IncomingMessage, ServerResponse as Response } from 'node:http';
import type { Duplex } from 'node:stream';
import { ServerResponse, STATUS_CODES } from '../lib/node-http.ts';
import type { Scope } from './admit.ts';
import type { Rooms } from './arrival.ts';
import { Http1Client } from './client-http1.ts';
import { webSocketCredentials } from './credentials.ts';
import { handle } from './handle.ts';
import { refuse } from './refusal.ts';
import { agreedHeaders, goodKey, subprotocolHeader } from './web-socket-handshake.ts';

export interface Handshake {
  req: IncomingMessage;
  socket: Duplex;
  /** Bytes that came right behind the handshake. */
  head: Buffer;
  scope: Scope;
  requestId: string;
}

/** A client has nothing to say before it has read the answer. */
const maxEarlyBytes = 64 * 1024;

/** True for what `serveUpgrade` can tunnel; other upgrades are ignored, as RFC 9110, 7.8 allows. */
export function isWebSocket(req: IncomingMessage): boolean {
  return req.method === 'GET' && (req.headers.upgrade ?? '').toLowerCase() === 'websocket';
}

/** Answers the handshake, or refuses it with an ordinary response. */
export function serveUpgrade(rooms: Rooms, handshake: Handshake): void {
  const { req, socket, scope, requestId } = handshake;
  socket.on('error', () => {});
  const res = responseOn(req);
  const early = holdEarly(handshake);
  const client = new Http1Client(req, res, rooms.clock, true);
  if (!isWebSocket(req)) {
    refuse(client, 'upgrade_unsupported', { requestId, explain: rooms.settings.explain });
    return;
  }
  const credentials = webSocketCredentials(client.head);
  handle(rooms, {
    client,
    scope,
    requestId,
    credentials,
    upgrade: {
      headers: subprotocolHeader(credentials),
      key: goodKey(req.headers['sec-websocket-version'], req.headers['sec-websocket-key']),
      stream: socket,
      agree(raw) {
        res.detachSocket(req.socket);
        socket.write(switching(agreedHeaders(raw, requestId, credentials, false)), 'latin1');
        return early();
      },
    },
  });
}

/** Node gives no response object for upgrades; this one serves refusals and answers without an upgrade. */
function responseOn(req: IncomingMessage): Response {
  const res = new ServerResponse(req);
  res.assignSocket(req.socket);
  res.shouldKeepAlive = false;
  res.once('finish', () => req.socket.destroySoon());
  // The HTTP server no longer does it for this socket.
  req.socket.on('drain', () => res.emit('drain'));
  return res;
}

/**
 * Reads on while the handshake is under way, for only a reader learns that the client has gone; then it stops waiting. What was read is
 * returned when the streams are spliced.
 */
function holdEarly({ socket, head }: Handshake): () => Buffer {
  let held = head;
  const hold = (chunk: Buffer): void => {
    held = Buffer.concat([held, chunk]);
    if (held.length >= maxEarlyBytes) socket.pause();
  };
  const leave = (): void => {
    socket.destroy();
  };
  socket.on('data', hold).once('end', leave);
  return () => {
    socket.off('data', hold).off('end', leave).pause();
    return held;
  };
}

function switching(agreed: readonly string[]): string {
  const headers = ['Connection', 'Upgrade', 'Upgrade', 'websocket', ...agreed];
  const lines = headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`));
  return `HTTP/1.1 101 ${STATUS_CODES[101]}\r\n${lines.join('')}\r\n`;
}

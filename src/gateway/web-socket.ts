// Upgrade requests: to the shell, or to the application, where both byte streams are spliced after it has agreed. Reference f.6.
import { type IncomingMessage, ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';
import { admitToShell, type Scope } from './admit.ts';
import { platformSubprotocol, webSocketCredentials } from './credentials.ts';
import { handle, type Rooms } from './handle.ts';
import { headerIn, responseHeaders } from './headers.ts';
import { refuse } from './refusal.ts';
import { serveShell } from './shell.ts';
import { splice } from './splice.ts';

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
export async function serveUpgrade(rooms: Rooms, handshake: Handshake): Promise<void> {
  const { req, socket, scope, requestId } = handshake;
  socket.on('error', () => {});
  const res = responseOn(req);
  const early = holdEarly(handshake);
  if (!isWebSocket(req)) return refuse(res, 'upgrade_unsupported', { requestId, explain: rooms.settings.explain });
  const credentials = webSocketCredentials(req);
  const agree = (raw: readonly string[]): Buffer => {
    res.detachSocket(req.socket);
    socket.write(switching(raw, requestId, credentials.marked === true), 'latin1');
    return early();
  };
  const microvmId = await admitToShell(rooms.door, req, scope, credentials);
  if (microvmId !== undefined) return serveShell(rooms, { req, res, client: socket, requestId, microvmId, agree });
  const onAgreed = (raw: readonly string[], application: Duplex, activity: Activity): void => {
    application.write(agree(raw));
    splice(socket, application, activity);
  };
  const upgrade = { subprotocols: credentials.subprotocols ?? [], onAgreed };
  await handle(rooms, { req, res, scope, requestId, credentials, expectsContinue: false, upgrade });
}

/** Node gives no response object for upgrades; this one serves refusals and answers without an upgrade. */
function responseOn(req: IncomingMessage): ServerResponse {
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

function switching(raw: readonly string[], requestId: string, marked: boolean): string {
  const headers = ['Connection', 'Upgrade', 'Upgrade', 'websocket', ...responseHeaders(raw, requestId)];
  if (marked && headerIn(raw, 'sec-websocket-protocol') === undefined) {
    headers.push('Sec-WebSocket-Protocol', platformSubprotocol);
  }
  const lines = headers.map((text, i) => (i % 2 === 0 ? `${text}: ` : `${text}\r\n`));
  return `HTTP/1.1 101 ${STATUS_CODES[101]}\r\n${lines.join('')}\r\n`;
}

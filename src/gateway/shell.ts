// A WebSocket to the shell of a MicroVM, from its handshake on: wake, open, agree. What fails before that is an ordinary answer.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { describe, Fault } from '../lib/errors.ts';
import { awake, type Rooms, refusalForFault } from './handle.ts';
import { type Refusal, refuse } from './refusal.ts';
import { runShell } from './shell-session.ts';
import { acceptKey } from './web-socket-server.ts';

export interface ShellHandshake {
  req: IncomingMessage;
  res: ServerResponse;
  client: Duplex;
  requestId: string;
  microvmId: string;
  /** Sends the answer that switches protocols, with these headers beside the usual ones; returns what the client has sent early. */
  agree(headers: string[]): Buffer;
}

export async function serveShell(rooms: Rooms, handshake: ShellHandshake): Promise<void> {
  const { req, res, client, requestId, microvmId } = handshake;
  const { explain } = rooms.settings;
  const facts = { microvmId, requestId };
  const turnAway = (refusal: Refusal): void => refuse(res, refusal, { requestId, explain });
  const accept = acceptKey(req.headers['sec-websocket-key']);
  if (accept === undefined || req.headers['sec-websocket-version'] !== '13') return turnAway('malformed_request');
  const activity = rooms.dataPlane.begin(microvmId);
  const gone = new AbortController();
  res.once('close', () => gone.abort(new Fault('aborted', { what: 'The request' })));
  let guest: Duplex;
  try {
    await awake(rooms, microvmId, gone.signal);
    guest = await rooms.dialer.dial(microvmId, 'shell', gone.signal);
  } catch (error) {
    activity.end();
    if (gone.signal.aborted) return;
    rooms.log.warn('gateway.no_shell', { ...facts, error: describe(error) });
    return turnAway(refusalForFault(error));
  }
  rooms.shells.add(microvmId, guest);
  const withCommand = explain && /[?&]command(&|=|$)/.test(req.url ?? '');
  const onEnd = (why: string): void => rooms.log.info('gateway.shell_ended', { ...facts, why });
  rooms.log.info('gateway.shell_opened', facts);
  const early = handshake.agree(['Sec-WebSocket-Accept', accept]);
  runShell({ client, early, guest, activity, withCommand, explain, onEnd });
}

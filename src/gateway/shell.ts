// The handshake of a WebSocket to a shell, answered in the place of an application that would have agreed to it.
import type { Duplex } from 'node:stream';
import type { Activity } from '../contract/data-plane.ts';
import type { Rooms, WebSocketUpgrade } from './arrival.ts';
import type { Exchange } from './exchange.ts';
import { runShell } from './shell-session.ts';
import { acceptOf } from './web-socket-handshake.ts';

export interface ShellOrder {
  exchange: Exchange;
  upgrade: WebSocketUpgrade;
  microvmId: string;
  guest: Duplex;
  /** Of the client, from before it was agreed. */
  early: Buffer;
  activity: Activity;
}

/** Headers of the agreement. */
export const shellAgreement = ({ key = '' }: WebSocketUpgrade): string[] => ['Sec-WebSocket-Accept', acceptOf(key)];

/** Takes both streams over. */
export function openShell({ settings, log }: Rooms, order: ShellOrder): void {
  const { exchange, upgrade, microvmId, guest, early, activity } = order;
  const { explain } = settings;
  const facts = { microvmId, requestId: exchange.requestId };
  const withCommand = explain && /[?&]command(&|=|$)/.test(exchange.client.path);
  log.info('gateway.shell_opened', facts);
  const onEnd = (why: string): void => log.info('gateway.shell_ended', { ...facts, why });
  runShell({ client: upgrade.stream, early, guest, activity, withCommand, explain, onEnd });
}

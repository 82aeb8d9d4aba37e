// The WebSocket to a MicroVM's shell, with the package `ws`: the one of Node takes neither headers nor an authority of our own.
import WebSocket from 'ws';
import { lookupWithLocalhost } from '../localhost.ts';

export type { WebSocket };

export interface ShellAddress {
  /** As the API returned it. */
  endpoint: string;
  token: string;
  /** PEM. */
  ca: string;
  /** The first message will name a command. */
  withCommand: boolean;
}

/** The endpoint answered something else: an HTTP status, and the server's word for why. */
export interface TurnedAway {
  status: number;
  reason: string | undefined;
}

const maxMessageBytes = 1 << 20;

/**
 * Resolves when the connection stands, however long its MicroVM takes to wake. It is paused, so that nothing is missed. Rejects with the
 * network's error.
 */
export function connectShell(address: ShellAddress): Promise<WebSocket | TurnedAway> {
  const { endpoint, token, ca, withCommand } = address;
  const socket = new WebSocket(`wss://${endpoint}/shell${withCommand ? '?command' : ''}`, {
    ca,
    headers: { 'x-aws-proxy-auth': token },
    lookup: lookupWithLocalhost,
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
  });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('unexpected-response', (_, response) => {
      const reason = response.headers['x-waterbear-reason'];
      resolve({ status: response.statusCode ?? 0, reason: typeof reason === 'string' ? reason : undefined });
      response.destroy();
    });
    socket.once('open', () => {
      socket.off('error', reject);
      // What goes wrong from now on ends with `close`.
      socket.on('error', () => {});
      socket.pause();
      resolve(socket);
    });
  });
}

// Token and port as a request carries them: in headers, or as WebSocket subprotocols, for browsers cannot set headers there. Reference f.3, f.6.
import type { RequestHead } from './request-head.ts';

export interface Credentials {
  token: string | undefined;
  port: number | 'malformed';
}

export interface WebSocketCredentials extends Credentials {
  /** What is left for the application after the platform's values. */
  subprotocols: string[];
  /** The client offered the platform's marker, so one subprotocol must be selected in the answer. */
  marked: boolean;
}

const defaultPort = 8080;
const marker = 'lambda-microvms';
const tokenPrefix = `${marker}.authentication.`;
const portPrefix = `${marker}.port.`;

/** Of an ordinary request. */
export function headerCredentials({ token, port }: RequestHead): Credentials {
  return { token, port: parsePort(port) };
}

/** Of a WebSocket handshake. The token counts only beside the marker. */
export function webSocketCredentials({ token, port, subprotocols }: RequestHead): WebSocketCredentials {
  const offered = (subprotocols ?? '')
    .split(',')
    .map((value) => value.trim())
    .filter((value) => value !== '');
  const marked = offered.includes(marker);
  const valueAfter = (prefix: string): string | undefined =>
    offered.find((value) => value.startsWith(prefix))?.slice(prefix.length);
  return {
    token: token ?? (marked ? valueAfter(tokenPrefix) : undefined),
    port: parsePort(port ?? valueAfter(portPrefix)),
    subprotocols: offered.filter(
      (value) => value !== marker && !value.startsWith(tokenPrefix) && !value.startsWith(portPrefix),
    ),
    marked,
  };
}

/** The subprotocol a client sees selected when the application selected none. */
export const platformSubprotocol = marker;

function parsePort(text: string | undefined): number | 'malformed' {
  if (text === undefined) return defaultPort;
  const port = /^[1-9][0-9]{0,4}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : 'malformed';
}

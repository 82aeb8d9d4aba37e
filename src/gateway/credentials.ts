// Token and port as a request carries them: in headers, or as WebSocket subprotocols, for browsers cannot set headers there. Reference f.3, f.6.
import type { IncomingMessage } from 'node:http';

export interface Credentials {
  token: string | undefined;
  port: number | 'malformed';
  /** Only for WebSockets: what is left for the application after the platform's values. */
  subprotocols?: string[];
  /** The client offered the platform's marker, so one subprotocol must be selected in the answer. */
  marked?: boolean;
}

const defaultPort = 8080;
const marker = 'lambda-microvms';
const tokenPrefix = `${marker}.authentication.`;
const portPrefix = `${marker}.port.`;

/** Of an ordinary request. */
export function headerCredentials(req: IncomingMessage): Credentials {
  return { token: single(req.headers['x-aws-proxy-auth']), port: parsePort(single(req.headers['x-aws-proxy-port'])) };
}

/** Of a WebSocket handshake. The token counts only beside the marker. */
export function webSocketCredentials(req: IncomingMessage): Credentials {
  const offered = (req.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((value) => value.trim())
    .filter((value) => value !== '');
  const marked = offered.includes(marker);
  const valueAfter = (prefix: string): string | undefined =>
    offered.find((value) => value.startsWith(prefix))?.slice(prefix.length);
  return {
    token: single(req.headers['x-aws-proxy-auth']) ?? (marked ? valueAfter(tokenPrefix) : undefined),
    port: parsePort(single(req.headers['x-aws-proxy-port']) ?? valueAfter(portPrefix)),
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

const single = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value;

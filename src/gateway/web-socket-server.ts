// The WebSockets that end here, with the package `ws`. A stream is taken over after its handshake, whatever that was (RFC 6455, RFC 8441).
import type { Duplex } from 'node:stream';
import WebSocket from 'ws';

export type { WebSocket };

// Not in its types.
const Server = WebSocket as unknown as new (
  address: null,
  protocols: undefined,
  options: { autoPong: true; closeTimeout: number; maxPendingAutoPongs: number },
) => WebSocket & {
  setSocket(stream: Duplex, early: Buffer, options: typeof limits & { maxPayload: number }): void;
};

const limits = { allowSynchronousEvents: true, maxFragments: 1_024, maxBufferedChunks: 65_536 };
/** How long a client that is told of the end may take what was sent before. */
const closeTimeout = 30_000;
/** Pings of a client that takes no answers. */
const maxPendingAutoPongs = 60;

/** Speaks as the server over `stream`. Messages beyond `maxMessageBytes` end it with 1009; pings are answered. */
export function openWebSocket(stream: Duplex, early: Buffer, maxMessageBytes: number): WebSocket {
  // What `WebSocketServer` does once it has answered a handshake; its own answer would know HTTP/1.1 only.
  const socket = new Server(null, undefined, { autoPong: true, closeTimeout, maxPendingAutoPongs });
  socket.setSocket(stream, early, { ...limits, maxPayload: maxMessageBytes });
  // It may have been paused for the handshake.
  stream.resume();
  return socket;
}

/** Reasons have at most 123 bytes. */
export const closeReason = (text: string): string =>
  Buffer.from(text)
    .subarray(0, 120)
    .toString('utf8')
    .replace(/\uFFFD$/, '');

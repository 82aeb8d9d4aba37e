// A WebSocket client that keeps what it hears, for tests.
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import WebSocket from 'ws';

export interface Heard {
  /** What came as text, parsed. */
  control: Record<string, unknown>[];
  /** What came as bytes. */
  bytes: string;
  closed: { code: number; reason: string } | undefined;
}

export interface Client {
  socket: WebSocket;
  heard: Heard;
  type(text: string): void;
  tell(control: unknown): void;
  /** Resolves when the bytes hold `text`; rejects when the socket closes before. */
  until(text: string): Promise<string>;
  closed(): Promise<{ code: number; reason: string }>;
}

export interface ClientOrder {
  /** `wss://…`; names of the suffix are looked up on loopback. */
  url: string;
  ca: string;
  headers?: Record<string, string>;
  protocols?: string[];
}

const loopback = [{ address: '127.0.0.1', family: 4 }];

/** Not yet open. Listens from the start, so that nothing is missed. */
export function newClient({ url, ca, headers = {}, protocols = [] }: ClientOrder): Client {
  const lookup = (_: string, options: { all?: boolean }, done: (...args: unknown[]) => void): void =>
    options.all ? done(null, loopback) : done(null, '127.0.0.1', 4);
  const options = { ca, headers, lookup: lookup as never, perMessageDeflate: false };
  return listening(new WebSocket(url, protocols, options));
}

/** Over a stream whose handshake is done, as a WebSocket over HTTP/2 has it. */
export function clientOver(stream: Duplex): Client {
  // What `ws` does itself after a handshake over HTTP/1.1; none of this is in its types.
  const Plain = WebSocket as unknown as new (address: null, protocols: undefined, options: object) => Raw;
  const socket = new Plain(null, undefined, { autoPong: true });
  socket._isServer = false;
  const client = listening(socket);
  socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 1 << 20 });
  return client;
}

interface Raw extends WebSocket {
  _isServer: boolean;
  setSocket(stream: Duplex, early: Buffer, options: object): void;
}

function listening(socket: WebSocket): Client {
  const heard: Heard = { control: [], bytes: '', closed: undefined };
  let look = (): void => {};
  socket.on('error', () => {});
  socket.on('message', (data: Buffer, isBinary) => {
    if (isBinary) heard.bytes += data.toString();
    else heard.control.push(JSON.parse(data.toString()) as Record<string, unknown>);
    look();
  });
  socket.on('close', (code, reason) => {
    heard.closed = { code, reason: reason.toString() };
    look();
  });
  return {
    socket,
    heard,
    type: (text) => socket.send(Buffer.from(text)),
    tell: (control) => socket.send(JSON.stringify(control)),
    until: (text) =>
      new Promise((resolve, reject) => {
        look = () => {
          if (heard.bytes.includes(text)) resolve(heard.bytes);
          else if (heard.closed) reject(new Error(`${JSON.stringify(heard)}, without ${JSON.stringify(text)}`));
        };
        look();
      }),
    async closed() {
      if (!heard.closed) await once(socket, 'close');
      return heard.closed ?? { code: 0, reason: '' };
    },
  };
}

/** Resolves when the handshake was agreed to; rejects with the status of what it was answered otherwise. */
export async function opened(client: Client): Promise<Client> {
  await new Promise<void>((resolve, reject) => {
    client.socket.once('open', resolve);
    client.socket.once('unexpected-response', (_, response) => {
      reject(new Error(`answered ${response.statusCode} ${response.headers['x-waterbear-reason'] ?? ''}`));
      response.destroy();
    });
    client.socket.once('error', reject);
  });
  return client;
}

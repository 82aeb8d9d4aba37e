// Ports of the host that guests must never find: open on every address it has, IPv4 and IPv6.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { networkInterfaces } from 'node:os';

export interface HostCanary extends AsyncDisposable {
  readonly port: number;
  /** Who came: `tcp PEER`, `udp PEER TEXT`. */
  readonly came: string[];
}

/** Other ports that a host of ours may serve on; those that are taken here are somebody's real service, which is as good. */
const serverPorts = [80, 443, 2375, 8080, 8443, 9100];

export async function startHostCanary(): Promise<HostCanary> {
  const stack = new AsyncDisposableStack();
  const came: string[] = [];
  const note = (line: string): void => void came.push(line.replace('::ffff:', ''));
  const serve = async (port: number): Promise<Server> => {
    const server = createServer((socket) => {
      note(`tcp ${socket.remoteAddress}`);
      socket.on('error', () => {}).destroy();
    }).listen({ port, host: '::' });
    await once(server, 'listening');
    stack.defer(() => new Promise((done) => void server.close(() => done())));
    return server;
  };
  try {
    const { port } = (await serve(0)).address() as AddressInfo;
    for (const other of serverPorts) await serve(other).catch(() => {});
    const datagrams = createSocket({ type: 'udp6' }, (text, peer) => note(`udp ${peer.address} ${text}`));
    stack.defer(() => void datagrams.close());
    datagrams.bind({ port, address: '::' });
    await once(datagrams, 'listening');
    await proveOpen(port);
    came.length = 0;
    return { port, came, [Symbol.asyncDispose]: () => stack.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A canary that is not there would sing for nobody. */
async function proveOpen(port: number): Promise<void> {
  for (const host of ['127.0.0.1', '::1', ...hostAddresses()]) {
    const socket = connect({ host, port });
    await once(socket, 'connect');
    socket.destroy();
  }
}

/** IPv4 addresses of this host but loopback and links to slots. */
export function hostAddresses(): string[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !/^(lo|wb[0-9a-f]+-\d+)$/.test(name))
    .flatMap(([, list]) => list ?? [])
    .flatMap(({ family, address }) => (family === 'IPv4' ? [address] : []));
}

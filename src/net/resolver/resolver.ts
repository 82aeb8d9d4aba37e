// The name server of all guests of this server. It listens where only slots come through, and asks the host's own name servers.
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Clock } from '../../lib/clock.ts';
import { describe } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { ResolverPlace } from '../reach.ts';
import { Allowance } from './allowance.ts';
import { type Asking, answerQuery, type Forwarder } from './answer-query.ts';
import type { NameServerList } from './name-servers.ts';
import { serveConnection } from './serve-connection.ts';

export interface ResolverOptions {
  /** Of this host, reached by slots only. */
  address: string;
  /** Which slot is behind an address; undefined for all that is none. */
  slotOf: (peer: string) => number | undefined;
  /** Those that are asked. */
  nameServers: NameServerList;
  clock: Clock;
  log: Log;
}

export interface Resolver extends AsyncDisposable {
  readonly place: ResolverPlace;
  /** The slot is gone. */
  forget(slot: number): void;
}

/** Connections for questions that one slot may hold open. */
const connectionsPerSlot = 4;

/**
 * Where the next server listens, too, so that guests that run on find it by the rules they have. Below 1024 no other user of this host takes it
 * while no server is there; this one nobody was given (IANA).
 */
const usualPort = 253;

/** Listens on port 253 of `address`, or on free ones where that cannot be had. Rejects when the address is not of this host. */
export async function openResolver(options: ResolverOptions): Promise<Resolver> {
  const datagrams = createSocket('udp4');
  const server = createServer();
  const resolver = new GuestResolver(options, datagrams, server);
  try {
    await listening(datagrams, (port) => datagrams.bind(port, options.address));
    await listening(server, (port) => server.listen(port, options.address));
    const complain = (error: unknown): void => options.log.warn('resolver_failed', { why: describe(error) });
    datagrams.on('error', complain);
    server.on('error', complain);
    return resolver;
  } catch (error) {
    await resolver[Symbol.asyncDispose]();
    throw error;
  }
}

async function listening(socket: DatagramSocket | Server, listenOn: (port: number) => void): Promise<void> {
  try {
    listenOn(usualPort);
    await once(socket, 'listening');
  } catch {
    listenOn(0);
    await once(socket, 'listening');
  }
}

class GuestResolver implements Resolver {
  readonly #options: ResolverOptions;
  readonly #datagrams: DatagramSocket;
  readonly #server: Server;
  readonly #allowance: Allowance;
  readonly #forwarder: Forwarder;
  readonly #closing = new AbortController();
  readonly #connections = new Map<Socket, number>();

  constructor(options: ResolverOptions, datagrams: DatagramSocket, server: Server) {
    const { nameServers, clock } = options;
    this.#options = options;
    this.#datagrams = datagrams;
    this.#server = server;
    this.#allowance = new Allowance(clock);
    this.#forwarder = { nameServers, clock, signal: this.#closing.signal };
    datagrams.on('message', (message, peer) => void this.#onDatagram(message, peer.address, peer.port));
    server.on('connection', (socket) => void this.#onConnection(socket));
  }

  get place(): ResolverPlace {
    const { port: tcpPort } = this.#server.address() as AddressInfo;
    return { address: this.#options.address, udpPort: this.#datagrams.address().port, tcpPort };
  }

  forget(slot: number): void {
    this.#allowance.forget(slot);
    for (const [socket, owner] of this.#connections) if (owner === slot) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#closing.signal.aborted) return;
    this.#closing.abort();
    for (const socket of this.#connections.keys()) socket.destroy();
    this.#datagrams.close();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #onDatagram(message: Buffer, address: string, port: number): Promise<void> {
    const slot = this.#options.slotOf(address);
    if (slot === undefined) return;
    const answer = await this.#answer({ slot, message, overTcp: false });
    // A send that fails is a guest that is gone.
    if (answer && !this.#closing.signal.aborted) this.#datagrams.send(answer, port, address, () => {});
  }

  async #onConnection(socket: Socket): Promise<void> {
    const slot = this.#options.slotOf(socket.remoteAddress ?? '0.0.0.0');
    const others = [...this.#connections.values()].filter((owner) => owner === slot).length;
    if (slot === undefined || others >= connectionsPerSlot || this.#closing.signal.aborted) {
      socket.destroy();
      return;
    }
    this.#connections.set(socket, slot);
    await serveConnection(socket, (message) => this.#answer({ slot, message, overTcp: true }));
    this.#connections.delete(socket);
  }

  async #answer(asking: Asking): Promise<Buffer | undefined> {
    if (this.#closing.signal.aborted || !this.#allowance.enter(asking.slot)) return undefined;
    try {
      return await answerQuery(asking, this.#forwarder);
    } finally {
      this.#allowance.leave(asking.slot);
    }
  }
}

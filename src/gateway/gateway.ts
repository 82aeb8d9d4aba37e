// Composition of the data-plane gateway: listeners, connections to applications, and what happens when a MicroVM leaves.
import { once } from 'node:events';
import type { Http2SecureServer } from 'node:http2';
import type { AddressInfo, ListenOptions, Socket } from 'node:net';
import type { DataPlane } from '../contract/data-plane.ts';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { OnAnswered } from './access-log.ts';
import type { Scope } from './admit.ts';
import type { Admitted } from './admitted.ts';
import type { Rooms } from './arrival.ts';
import { Dialer } from './dial.ts';
import { createListener, type TlsKeyPair } from './listener.ts';
import type { GatewaySettings } from './settings.ts';
import { Stalls } from './stalls.ts';
import type { TokenReader } from './token.ts';
import { Upstreams } from './upstreams.ts';

export interface GatewayDependencies {
  dataPlane: DataPlane;
  tokens: Pick<TokenReader, 'read'>;
  clock: Clock;
  log: Log;
  /** DNS suffix of the endpoints, lower case. */
  suffix: string;
  tls: TlsKeyPair;
  settings: GatewaySettings;
  /** Hears of every request when it is over. */
  onAnswered?: OnAnswered;
  /** Where those that were let in are known, so that they can be cut. */
  admitted?: Admitted;
}

export interface Gateway {
  /** Mode `host`: serves every MicroVM of the suffix. Port 0 picks a free one. With `shared`, other threads may listen there too. */
  listen(host: string, port: number, shared?: boolean): Promise<{ port: number }>;
  /** Mode `port`: serves one MicroVM on a loopback port (the given one if it is free) as `localhost:PORT`. Idempotent. */
  listenFor(microvmId: string, port?: number): Promise<{ port: number }>;
  closeFor(microvmId: string): Promise<void>;
  /** Takes a renewed certificate into use for new connections. */
  useCertificate(tls: TlsKeyPair): void;
  /** Stops accepting, gives requests under way `graceMs` to finish (default 1 s), then cuts them. */
  close(graceMs?: number): Promise<void>;
}

/** One that works in the thread it was made in. */
export interface LocalGateway extends Gateway {
  /** Connections of clients that are open now. */
  connections(): number;
}

const loopback = '127.0.0.1';

export function createGateway(dependencies: GatewayDependencies): LocalGateway {
  const { dataPlane, settings } = dependencies;
  let { tls } = dependencies;
  const rooms = roomsOf(dependencies);
  dataPlane.onLeave((microvmId) => {
    rooms.dialer.left(microvmId);
    rooms.upstreams.pool.drop(microvmId);
  });
  const sockets = new Set<Socket>();
  const shared = new Set<Listening>();
  const own = new Map<string, Promise<Listening>>();
  const start = (scope: Scope, host: string, port: number, reusePort = false): Promise<Listening> =>
    startListening(createListener(rooms, scope, tls), sockets, { host, port, reusePort });
  const requireMode = (mode: GatewaySettings['endpointMode']): void => {
    if (settings.endpointMode === mode) return;
    throw new Fault('conflict', { what: `The gateway runs in endpoint mode ${settings.endpointMode}, not ${mode}.` });
  };

  return {
    async listen(host, port, isShared) {
      requireMode('host');
      const listening = await start('suffix', host, port, isShared);
      shared.add(listening);
      return { port: listening.port };
    },
    async listenFor(microvmId, port = 0) {
      requireMode('port');
      let listening = own.get(microvmId);
      if (!listening) {
        listening = startNear((wanted) => start({ microvmId }, loopback, wanted), port);
        own.set(microvmId, listening);
        listening.catch(() => own.delete(microvmId));
      }
      return { port: (await listening).port };
    },
    async closeFor(microvmId) {
      const listening = own.get(microvmId);
      own.delete(microvmId);
      await (await listening)?.close(0);
    },
    connections: () => sockets.size,
    useCertificate(renewed) {
      tls = renewed;
      for (const { server } of shared) server.setSecureContext(renewed);
      const renew = ({ server }: Listening): void => server.setSecureContext(renewed);
      // One that cannot listen has no certificate to renew; its caller hears of it.
      for (const listening of own.values()) listening.then(renew, () => {});
    },
    async close(graceMs = 1_000) {
      const all = [...shared, ...(await Promise.all(own.values()))];
      await Promise.all(all.map((listening) => listening.close(graceMs)));
      rooms.upstreams.pool.close();
      rooms.stalls.close();
    },
  };
}

function roomsOf({
  dataPlane,
  tokens,
  clock,
  log,
  suffix,
  settings,
  onAnswered,
  admitted,
}: GatewayDependencies): Rooms {
  const { settleMs, connectTimeoutMs } = settings;
  const dialer = new Dialer({ dataPlane, clock, settleMs, connectTimeoutMs });
  const upstreams = new Upstreams({ dialer, clock, settings });
  const stalls = new Stalls(settings.stallMs, clock);
  return {
    dataPlane,
    door: { dataPlane, tokens, clock, suffix },
    dialer,
    upstreams,
    stalls,
    clock,
    log,
    settings,
    onAnswered,
    admitted,
  };
}

interface Listening {
  server: Http2SecureServer;
  port: number;
  close(graceMs: number): Promise<void>;
}

/** A wished port that meanwhile belongs to somebody else is replaced by a free one. */
async function startNear(start: (port: number) => Promise<Listening>, port: number): Promise<Listening> {
  try {
    return await start(port);
  } catch (error) {
    if (port === 0) throw error;
    return start(0);
  }
}

async function startListening(server: Http2SecureServer, all: Set<Socket>, where: ListenOptions): Promise<Listening> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    for (const set of [sockets, all]) set.add(socket);
    socket.once('close', () => {
      for (const set of [sockets, all]) set.delete(socket);
    });
  });
  server.listen(where);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    server,
    port: address.port,
    close: async (graceMs) => {
      const closed = once(server, 'close');
      server.close();
      // Upgraded connections are no longer known to the HTTP server, so we keep count ourselves.
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

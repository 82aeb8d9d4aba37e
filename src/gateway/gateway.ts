// Composition of the data-plane gateway: listeners, connections to applications, and what happens when a MicroVM leaves.
import { once } from 'node:events';
import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { DataPlane } from '../contract/data-plane.ts';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Scope } from './admit.ts';
import { Dialer } from './dial.ts';
import type { Rooms } from './handle.ts';
import { createListener, type TlsKeyPair } from './listener.ts';
import { OpenShells } from './open-shells.ts';
import type { GatewaySettings } from './settings.ts';
import type { Tokens } from './token.ts';
import { UpstreamPool } from './upstream-pool.ts';

export interface GatewayDependencies {
  dataPlane: DataPlane;
  tokens: Tokens;
  clock: Clock;
  log: Log;
  /** DNS suffix of the endpoints, lower case. */
  suffix: string;
  tls: TlsKeyPair;
  settings: GatewaySettings;
}

export interface Gateway {
  /** Mode `host`: serves every MicroVM of the suffix. Port 0 picks a free one. */
  listen(host: string, port: number): Promise<{ port: number }>;
  /** Mode `port`: serves one MicroVM on a loopback port (the given one if it is free) as `localhost:PORT`. Idempotent. */
  listenFor(microvmId: string, port?: number): Promise<{ port: number }>;
  closeFor(microvmId: string): Promise<void>;
  /** Takes a renewed certificate into use for new connections. */
  useCertificate(tls: TlsKeyPair): void;
  /** Stops accepting, gives requests under way `graceMs` to finish (default 1 s), then cuts them. */
  close(graceMs?: number): Promise<void>;
}

const loopback = '127.0.0.1';

export function createGateway(dependencies: GatewayDependencies): Gateway {
  const { dataPlane, settings } = dependencies;
  let { tls } = dependencies;
  const rooms = roomsOf(dependencies);
  dataPlane.onLeave((microvmId) => {
    rooms.dialer.left(microvmId);
    rooms.pool.drop(microvmId);
    rooms.shells.drop(microvmId);
  });
  const shared = new Set<Listening>();
  const own = new Map<string, Promise<Listening>>();
  const start = (scope: Scope, host: string, port: number): Promise<Listening> =>
    startListening(createListener(rooms, scope, tls), host, port);
  const requireMode = (mode: GatewaySettings['endpointMode']): void => {
    if (settings.endpointMode === mode) return;
    throw new Fault('conflict', { what: `The gateway runs in endpoint mode ${settings.endpointMode}, not ${mode}.` });
  };

  return {
    async listen(host, port) {
      requireMode('host');
      const listening = await start('suffix', host, port);
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
      rooms.pool.close();
    },
  };
}

function roomsOf({ dataPlane, tokens, clock, log, suffix, settings }: GatewayDependencies): Rooms {
  const { settleMs, connectTimeoutMs, upstreamIdleMs, upstreamMaxConnections } = settings;
  const dialer = new Dialer({ dataPlane, clock, settleMs, connectTimeoutMs });
  const pool = new UpstreamPool({
    dial: (microvmId, port, signal) => dialer.dial(microvmId, port, signal),
    idleMs: upstreamIdleMs,
    maxConnections: upstreamMaxConnections,
  });
  return {
    dataPlane,
    door: { dataPlane, tokens, clock, suffix },
    dialer,
    pool,
    shells: new OpenShells(),
    clock,
    log,
    settings,
  };
}

interface Listening {
  server: Server;
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

async function startListening(server: Server, host: string, port: number): Promise<Listening> {
  const sockets = new Set<{ destroy(): void }>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  server.listen(port, host);
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

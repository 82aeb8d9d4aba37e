// A gateway in front of local applications, for tests.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import {
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type RequestListener,
  type Server,
} from 'node:http';
import { type RequestOptions, request } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import type { AccessRecord, OnAnswered } from '../../src/gateway/access-log.ts';
import { type Accounting, openAccounting } from '../../src/gateway/accounting.ts';
import { openAuthority } from '../../src/gateway/authority.ts';
import { createGateway, type LocalGateway } from '../../src/gateway/gateway.ts';
import { type KeyRing, openKeyRing } from '../../src/gateway/key-ring.ts';
import type { TlsKeyPair } from '../../src/gateway/listener.ts';
import { type GatewaySettings, gatewayDefaults } from '../../src/gateway/settings.ts';
import { createTokens, type Tokens } from '../../src/gateway/token.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { hostOf, PretendedPlane, suffix } from './pretended-plane.ts';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  rawHeaders: string[];
  trailers: NodeJS.Dict<string>;
  body: string;
}

export interface Rig extends AsyncDisposable {
  gateway: LocalGateway;
  plane: PretendedPlane;
  ring: KeyRing;
  tokens: Tokens;
  /** Of requests that are over. */
  records: AccessRecord[];
  accounting: Accounting;
  /** Path of the access log. */
  accessLog: string;
  port: number;
  /** PEM. */
  ca: string;
  /** What the gateway serves with. */
  tls: TlsKeyPair;
  /** An application on port 8080 (or another) of `microvmId`. */
  app(microvmId: string, listener: RequestListener, guestPort?: number): Promise<Server>;
  /** A token for all ports, or these. */
  token(microvmId: string, ports?: number[]): Promise<string>;
  options(microvmId: string, options?: RequestOptions): RequestOptions;
  /** Sends a whole request with a good token unless `x-aws-proxy-auth` is given, and reads the whole answer. */
  ask(microvmId: string, options?: RequestOptions, body?: string | Buffer): Promise<Answer>;
  /** A TLS connection to speak by hand. */
  raw(microvmId: string): Promise<TLSSocket>;
}

export async function startRig(changes: Partial<GatewaySettings> = {}, onAnswered?: OnAnswered): Promise<Rig> {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-gateway-'));
  const loopback = changes.endpointMode === 'port';
  const tls = await openAuthority({ directory, suffix, loopback, clock: systemClock });
  const ring = await openKeyRing(join(directory, 'tokens.json'), systemClock);
  const tokens = createTokens(ring);
  const plane = new PretendedPlane();
  const settings = { ...gatewayDefaults, ...changes };
  const records: AccessRecord[] = [];
  const accessLog = join(directory, 'access.log');
  const accounting = await openAccounting({
    ...{ trust: tokens.trust, accessLog, clock: systemClock, log: silentLog },
    ownerOf: (microvmId) => (plane.vms.has(microvmId) ? { account: '000000000000', imageArn: 'arn:image' } : undefined),
  });
  const gateway = createGateway({
    dataPlane: plane,
    onAnswered(record) {
      records.push(record);
      onAnswered?.(record);
      accounting.onAnswered(record);
    },
    admitted: accounting.admitted,
    tokens,
    clock: systemClock,
    log: silentLog,
    suffix,
    tls,
    settings,
  });
  const { port } = loopback ? { port: 0 } : await gateway.listen('127.0.0.1', 0);
  const apps: Server[] = [];
  const token: Rig['token'] = (microvmId, ports) =>
    tokens.mint({
      microvmId,
      ports: ports?.map((one) => ({ start: one, end: one })) ?? 'all',
      expiresAtMs: Date.now() + 60_000,
    });
  const ca = tls.caCertificatePem;
  const options: Rig['options'] = (microvmId, more = {}) => {
    const name = hostOf(microvmId);
    const headers: OutgoingHttpHeaders = { host: `${name}:${port}`, ...(more.headers as OutgoingHttpHeaders) };
    return { host: '127.0.0.1', port, servername: name, ca, agent: false, ...more, headers };
  };
  return {
    gateway,
    plane,
    ring,
    tokens,
    records,
    accounting,
    accessLog,
    port,
    ca,
    tls,
    token,
    options,
    app: async (microvmId, listener, guestPort = 8080) => {
      const server = createServer(listener);
      server.on('checkContinue', listener);
      server.keepAliveTimeout = 60_000;
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      apps.push(server);
      const vm = plane.vms.get(microvmId) ?? { ports: new Map(), asleep: false, autoResume: true };
      vm.ports.set(guestPort, (server.address() as AddressInfo).port);
      plane.vms.set(microvmId, vm);
      return server;
    },
    ask: async (microvmId, more = {}, body) => {
      const headers = { 'x-aws-proxy-auth': await token(microvmId), ...(more.headers as OutgoingHttpHeaders) };
      return exchange(options(microvmId, { ...more, headers }), body);
    },
    raw: async (microvmId) => {
      const socket = connectTls({ host: '127.0.0.1', port, servername: hostOf(microvmId), ca });
      await once(socket, 'secureConnect');
      return socket;
    },
    [Symbol.asyncDispose]: async () => {
      await gateway.close(0);
      for (const app of apps) {
        app.closeAllConnections();
        app.close();
      }
      await accounting[Symbol.asyncDispose]();
      await ring[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Sends one request; an undefined header is left out. Rejects when the answer breaks off. */
export function exchange(options: RequestOptions, body?: string | Buffer): Promise<Answer> {
  const headers = Object.fromEntries(Object.entries(options.headers ?? {}).filter(([, value]) => value !== undefined));
  return new Promise((resolve, reject) => {
    const req = request({ ...options, headers }, (res) => {
      const parts: Buffer[] = [];
      res.on('data', (part: Buffer) => parts.push(part));
      res.on('error', reject);
      res.on('end', () => {
        const { statusCode: status = 0, headers: found, rawHeaders, trailers } = res;
        resolve({ status, headers: found, rawHeaders, trailers, body: Buffer.concat(parts).toString() });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}

/** Resolves when `what` holds; the test's own time limit bounds it. */
export async function until(what: () => boolean): Promise<void> {
  while (!what()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** Everything a socket says until it closes. */
export async function readAll(socket: Duplex): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

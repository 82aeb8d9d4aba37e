// A gateway in threads in front of pretended MicroVMs: their relays are ports of this process, and the control plane is in memory.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http';
import { type RequestOptions, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Worker } from 'node:worker_threads';
import type { EndpointEvent, EndpointFacts, EndpointSource } from '../../src/contract/data-plane.ts';
import type { RelayAddress } from '../../src/contract/node-api.ts';
import { Signs } from '../../src/contract/signs.ts';
import { openAuthority } from '../../src/gateway/authority.ts';
import { type KeyRing, openKeyRing } from '../../src/gateway/key-ring.ts';
import { type GatewaySettings, gatewayDefaults } from '../../src/gateway/settings.ts';
import { createGatewayThreads, type GatewayThreads } from '../../src/gateway/threads/gateway-threads.ts';
import { createTokens, type Tokens } from '../../src/gateway/token.ts';
import { acceptOf } from '../../src/gateway/web-socket-handshake.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { FakeRelay } from '../../src/vmm/fake/fake-relay.ts';
import { type Answer, exchange } from '../fake/gateway-rig.ts';
import { hostOf, suffix } from '../fake/pretended-plane.ts';

const owner = { account: '000000000000', imageArn: 'arn:image' };

export class PretendedVm {
  readonly signs = new Signs();
  readonly facts: EndpointFacts;
  readonly #relay: RelayAddress;
  #wakingTimes = 0;

  constructor(microvmId: string, relay: RelayAddress) {
    this.facts = { microvmId, host: hostOf(microvmId), owner, signs: this.signs.buffer };
    this.#relay = relay;
  }

  wake(source: PretendedSource): void {
    this.#wakingTimes += 1;
    const waking = { number: this.#wakingTimes, relay: this.#relay };
    this.facts.waking = waking;
    this.signs.wake(waking.number, Date.now());
    source.tell({ kind: 'woke', microvmId: this.facts.microvmId, waking });
  }

  sleep(source: PretendedSource): void {
    delete this.facts.waking;
    this.signs.leave();
    source.tell({ kind: 'left', microvmId: this.facts.microvmId });
  }
}

export class PretendedSource implements EndpointSource {
  readonly vms = new Map<string, PretendedVm>();
  /** Ids of those that threads asked to wake. */
  readonly asked: string[] = [];
  /** What a wake does. */
  onAsked: (vm: PretendedVm) => Promise<void> = async (vm) => vm.wake(this);
  readonly #watchers: ((event: EndpointEvent) => void)[] = [];

  endpoints = (): EndpointFacts[] => [...this.vms.values()].map(({ facts }) => facts);

  watch(listener: (event: EndpointEvent) => void): void {
    this.#watchers.push(listener);
  }

  async awake(microvmId: string): Promise<void> {
    this.asked.push(microvmId);
    const vm = this.vms.get(microvmId);
    if (vm) await this.onAsked(vm);
  }

  tell(event: EndpointEvent): void {
    for (const watcher of this.#watchers) watcher(event);
  }
}

export interface ThreadsRig<S extends EndpointSource = PretendedSource> extends AsyncDisposable {
  source: S;
  gateway: GatewayThreads;
  keys: KeyRing;
  tokens: Tokens;
  /** Path of the access log. */
  accessLog: string;
  /** All that were started, dead ones too. */
  workers: Worker[];
  /** Events of the log. */
  logged: string[];
  port: number;
  /** A guest's relay with this application on every port. */
  relay(application: RequestListener): Promise<RelayAddress>;
  options(microvmId: string, token: string, host?: string): RequestOptions;
  /** A whole request over a connection of its own. */
  ask(microvmId: string, options?: RequestOptions, body?: string): Promise<Answer>;
}

/** Announces a MicroVM that runs. */
export async function addVm(rig: ThreadsRig, microvmId: string, application: RequestListener): Promise<PretendedVm> {
  const vm = new PretendedVm(microvmId, await rig.relay(application));
  rig.source.vms.set(microvmId, vm);
  rig.source.tell({ kind: 'known', endpoint: vm.facts });
  vm.wake(rig.source);
  return vm;
}

export function startThreads(threads: number, changes: Partial<GatewaySettings> = {}): Promise<ThreadsRig> {
  return startThreadsOver(new PretendedSource(), threads, changes);
}

export async function startThreadsOver<S extends EndpointSource>(
  source: S,
  threads: number,
  changes: Partial<GatewaySettings> = {},
): Promise<ThreadsRig<S>> {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-threads-'));
  const loopback = changes.endpointMode === 'port';
  const tls = await openAuthority({ directory, suffix, loopback, clock: systemClock });
  const keys = await openKeyRing(join(directory, 'tokens.json'), systemClock);
  const tokens = createTokens(keys);
  const accessLog = join(directory, 'access.log');
  const workers: Worker[] = [];
  const seeWorker = (worker: Worker): void => void workers.push(worker);
  process.on('worker', seeWorker);
  const logged: string[] = [];
  const note = (event: string): void => void logged.push(event);
  const gateway = createGatewayThreads({
    ...{ threads, source, keys, suffix, tls, clock: systemClock },
    log: { level: 'silent', info: note, warn: note, error: note },
    settings: { ...gatewayDefaults, ...changes },
    endIsActivity: true,
    accessLog,
  });
  const { port } = loopback ? { port: 0 } : await gateway.listen('127.0.0.1', 0);
  const relays: FakeRelay[] = [];
  const applications: Server[] = [];
  const options: ThreadsRig['options'] = (microvmId, token, host = hostOf(microvmId)) => ({
    ...{ host: '127.0.0.1', port, servername: host, ca: tls.caCertificatePem, agent: false },
    headers: { host, 'x-aws-proxy-auth': token },
  });
  return {
    ...{ source, gateway, keys, tokens, accessLog, workers, logged, port, options },
    relay(listener) {
      const application = createServer(listener);
      application.on('upgrade', agree);
      applications.push(application);
      const relay = new FakeRelay({
        listens: () => true,
        accept: (socket, serve = (one) => void application.emit('connection', one)) => {
          serve(socket);
          socket.resume();
        },
      });
      relays.push(relay);
      return relay.listen();
    },
    async ask(microvmId, more = {}, body) {
      const token = await tokens.mint({ microvmId, ports: 'all', expiresAtMs: Date.now() + 60_000 });
      const base = options(microvmId, token);
      const headers = { ...(base.headers as Record<string, string>), ...(more.headers as Record<string, string>) };
      return exchange({ ...base, ...more, headers }, body);
    },
    async [Symbol.asyncDispose]() {
      process.off('worker', seeWorker);
      await gateway.close(0);
      for (const relay of relays) relay.close();
      for (const application of applications) application.closeAllConnections();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** To every WebSocket, which it then leaves idle. */
function agree(req: IncomingMessage, socket: Duplex): void {
  const accept = acceptOf(String(req.headers['sec-websocket-key']));
  socket.on('error', () => {}).resume();
  socket.write(
    `HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
}

/** Begins a request that the application leaves open; resolves when its answer has begun. */
export async function hold(options: RequestOptions): Promise<{ broken: Promise<void> }> {
  const outgoing = request(options);
  outgoing.end();
  const broken = Promise.withResolvers<void>();
  outgoing.on('error', () => broken.resolve());
  const [response] = await once(outgoing, 'response');
  response.on('error', () => broken.resolve()).resume();
  return { broken: broken.promise };
}

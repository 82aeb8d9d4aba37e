// The gateway in threads of its own: what the thread with the database does keeps no byte waiting.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { EndpointSource } from '../../contract/data-plane.ts';
import { Signs } from '../../contract/signs.ts';
import { newTraffic, sumTraffic, type Traffic } from '../../contract/traffic.ts';
import type { Clock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { Gateway } from '../gateway.ts';
import type { KeyRing } from '../key-ring.ts';
import type { TlsKeyPair } from '../listener.ts';
import type { GatewaySettings } from '../settings.ts';
import { type NumberedTrust, TrustVersion } from './followed-trust.ts';
import type { Result, ToThread } from './messages.ts';
import { SupervisedThread } from './supervised-thread.ts';

export interface GatewayThreadsOptions {
  /** How many, 1 to 64. */
  threads: number;
  source: EndpointSource;
  keys: Pick<KeyRing, 'snapshot' | 'onChange'>;
  /** Path of the access log, if there is to be one. */
  accessLog?: string | undefined;
  /** For the threads only its level counts: they write lines of their own to standard error. */
  log: Log;
  clock: Clock;
  /** DNS suffix of the endpoints, lower case. */
  suffix: string;
  tls: TlsKeyPair;
  settings: GatewaySettings;
  /** Whether the end of a request counts as activity. */
  endIsActivity: boolean;
}

export interface GatewayThreads extends Gateway {
  /** What all threads have counted. A thread that died has taken its numbers with it. */
  traffic(): Promise<Traffic>;
  /** After the access log was moved away. */
  reopenLog(): void;
}

/** For one thread's answer; numbers that come too late are not waited for. */
const countMs = 2_000;

/**
 * Starts the threads. Each listens on the same address (the kernel spreads connections over them); in mode `port` each MicroVM's own
 * port belongs to one of them. A thread that dies is replaced.
 */
export function createGatewayThreads(options: GatewayThreadsOptions): GatewayThreads {
  const { source, keys, log, clock, suffix, settings, endIsActivity, accessLog } = options;
  // A client that comes back may be given to another thread, and still goes on with its session.
  const ticketKeys = randomBytes(48);
  let tls: TlsKeyPair = { ...options.tls, ticketKeys };
  const version = new TrustVersion();
  let trust: NumberedTrust = { version: version.now, snapshot: keys.snapshot() };
  const setUp = () => {
    const own = { tls, trust, trustVersion: version.buffer, endpoints: source.endpoints() };
    return { suffix, settings, endIsActivity, logLevel: log.level, accessLog, ...own };
  };
  const threads = Array.from({ length: options.threads }, (_, index) => {
    const ended = (): void => {
      for (const { signs } of source.endpoints()) new Signs(signs).forget(index);
    };
    return new SupervisedThread({ index, clock, log, setUp, awake: (microvmId) => source.awake(microvmId), ended });
  });
  const tell = (message: ToThread): void => {
    for (const thread of threads) thread.tell(message);
  };
  source.watch((event) => tell({ kind: 'endpoint', event }));
  keys.onChange((snapshot) => {
    trust = { version: trust.version + 1, snapshot };
    tell({ kind: 'trust', trust });
    version.set(trust.version);
  });
  const owners = new Map<string, SupervisedThread>();
  let next = 0;

  return {
    async listen(host, wanted) {
      const [first, ...others] = threads;
      const shared = others.length > 0;
      // Another server of the same user could share the port, too.
      if (shared && wanted !== 0) await requireFree(host, wanted);
      const port = portOf(await first?.order({ do: 'listen', host, port: wanted, shared }));
      await Promise.all(others.map((thread) => thread.order({ do: 'listen', host, port, shared })));
      return { port };
    },
    async listenFor(microvmId, port = 0) {
      const owner = owners.get(microvmId) ?? threads[next++ % threads.length];
      if (owner) owners.set(microvmId, owner);
      return { port: portOf(await owner?.order({ do: 'listenFor', microvmId, port })) };
    },
    async closeFor(microvmId) {
      await owners.get(microvmId)?.order({ do: 'closeFor', microvmId });
      owners.delete(microvmId);
    },
    useCertificate(renewed) {
      tls = { ...renewed, ticketKeys };
      tell({ kind: 'certificate', tls });
    },
    async traffic() {
      const count = async (thread: SupervisedThread): Promise<Traffic> => {
        const { traffic } = await thread.order({ do: 'count' }, countMs);
        return traffic ?? newTraffic();
      };
      const counted = await Promise.allSettled(threads.map(count));
      return sumTraffic(counted.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])));
    },
    reopenLog: () => tell({ kind: 'reopenLog' }),
    async close(graceMs = 1_000) {
      await Promise.all(threads.map((thread) => thread.close(graceMs)));
    },
  };
}

async function requireFree(host: string, port: number): Promise<void> {
  const probe = createServer();
  probe.listen({ host, port, exclusive: true });
  await once(probe, 'listening');
  probe.close();
  await once(probe, 'close');
}

function portOf(result: Result | undefined): number {
  const { port } = result ?? {};
  if (port === undefined) throw new Fault('internal', { what: 'The gateway did not say on which port it listens.' });
  return port;
}

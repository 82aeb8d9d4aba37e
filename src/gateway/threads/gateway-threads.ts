// The gateway in threads of its own: what the thread with the database does keeps no byte waiting.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { EndpointSource } from '../../contract/data-plane.ts';
import { Signs } from '../../contract/signs.ts';
import type { Clock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { Gateway } from '../gateway.ts';
import type { KeyRing } from '../key-ring.ts';
import type { TlsKeyPair } from '../listener.ts';
import type { GatewaySettings } from '../settings.ts';
import type { ToThread } from './messages.ts';
import { SupervisedThread } from './supervised-thread.ts';

export interface GatewayThreadsOptions {
  /** How many, 1 to 64. */
  threads: number;
  source: EndpointSource;
  keys: Pick<KeyRing, 'keys' | 'onChange'>;
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

/**
 * Starts the threads. Each listens on the same address (the kernel spreads connections over them); in mode `port` each MicroVM's own
 * port belongs to one of them. A thread that dies is replaced.
 */
export function createGatewayThreads(options: GatewayThreadsOptions): Gateway {
  const { source, keys, log, clock, suffix, settings, endIsActivity } = options;
  let { tls } = options;
  const setUp = () => {
    const own = { tls, keys: keys.keys(), endpoints: source.endpoints() };
    return { suffix, settings, endIsActivity, logLevel: log.level, ...own };
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
  keys.onChange(() => tell({ kind: 'keys', keys: keys.keys() }));
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
      tls = renewed;
      tell({ kind: 'certificate', tls });
    },
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

function portOf(port: number | undefined): number {
  if (port === undefined) throw new Fault('internal', { what: 'The gateway did not say on which port it listens.' });
  return port;
}

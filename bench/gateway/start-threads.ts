// The gateway in threads, as the server runs it, in front of one MicroVM that runs: `relay` speaks as a guest's relay does.
import { join } from 'node:path';
import type { EndpointFacts, EndpointSource } from '../../src/contract/data-plane.ts';
import type { RelayAddress } from '../../src/contract/node-api.ts';
import { Signs } from '../../src/contract/signs.ts';
import type { KeyRing } from '../../src/gateway/key-ring.ts';
import type { TlsKeyPair } from '../../src/gateway/listener.ts';
import { gatewayDefaults } from '../../src/gateway/settings.ts';
import { createGatewayThreads, type GatewayThreads } from '../../src/gateway/threads/gateway-threads.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';

export const suffix = 'vm.localhost';
export const microvmId = 'microvm-bench';

/** The one endpoint, and nothing that ever changes. */
export function runningEndpoint(relay: RelayAddress): EndpointFacts {
  const signs = new Signs();
  signs.wake(1, Date.now());
  const owner = { account: '000000000000', imageArn: 'arn' };
  return { microvmId, host: `bench.${suffix}`, signs: signs.buffer, owner, waking: { number: 1, relay } };
}

/** Not yet listening. The access log is written to `directory`. */
export function startThreads(
  threads: number,
  relay: RelayAddress,
  { keys, tls, directory }: { keys: KeyRing; tls: TlsKeyPair; directory: string },
): GatewayThreads {
  const endpoint = runningEndpoint(relay);
  const source: EndpointSource = { endpoints: () => [endpoint], watch() {}, awake: async () => {} };
  return createGatewayThreads({
    ...{ threads, source, keys, tls, suffix, clock: systemClock, log: silentLog, settings: gatewayDefaults },
    ...{ endIsActivity: true, accessLog: join(directory, 'access.log') },
  });
}

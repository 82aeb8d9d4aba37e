// The gateway in threads, or with 0 threads in the one that may be kept busy.
// usage: threads-proxy.ts KEY CERTIFICATE RELAY-PORT DIRECTORY THREADS; tells its port and a token. Told `busy`, its first thread works for 100 ms
// out of every 150 ms, as on a database; told `idle`, no longer.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openAccounting } from '../../src/gateway/accounting.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import { openKeyRing } from '../../src/gateway/key-ring.ts';
import { gatewayDefaults } from '../../src/gateway/settings.ts';
import { EndpointTable } from '../../src/gateway/threads/endpoint-table.ts';
import { createTokens } from '../../src/gateway/token.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { microvmId, runningEndpoint, startThreads, suffix } from './start-threads.ts';

const [keyPath = '', certPath = '', relayPort = '', directory = '', threads = ''] = process.argv.slice(2);
const relay = { host: '127.0.0.1', port: Number(relayPort) };
const tls = { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(certPath, 'utf8') };
const keys = await openKeyRing(join(directory, 'tokens.json'), systemClock);
const tokens = createTokens(keys);

async function inThisThread() {
  const [clock, log, { trust }] = [systemClock, silentLog, tokens];
  const counter = { index: 0, clock, endIsActivity: true };
  const dataPlane = new EndpointTable([runningEndpoint(relay)], { counter, ask() {}, catchUp() {} });
  const ownerOf = (id: string) => dataPlane.ownerOf(id);
  const accessLog = join(directory, 'access.log');
  const { onAnswered, admitted } = await openAccounting({ trust, ownerOf, accessLog, clock, log });
  const settings = gatewayDefaults;
  return createGateway({ dataPlane, tokens, clock, log, suffix, tls, settings, onAnswered, admitted });
}

const gateway = threads === '0' ? await inThisThread() : startThreads(Number(threads), relay, { keys, tls, directory });
const { port } = await gateway.listen('127.0.0.1', 0);
const token = await tokens.mint({ microvmId, ports: 'all', expiresAtMs: Date.now() + 3_600_000 });
let work: NodeJS.Timeout | undefined;
process.on('message', (told) => {
  clearInterval(work);
  if (told === 'busy') {
    work = setInterval(() => {
      const end = performance.now() + 100;
      while (performance.now() < end);
    }, 150);
  }
});
process.send?.({ port, token });
process.on('disconnect', () => process.exit());

// The gateway as it is, over a data plane whose MicroVM is a TCP port: tokens are checked, activity is counted, and every request writes a line.
// usage: proxy.ts KEY CERTIFICATE UPSTREAM-PORT DIRECTORY; tells its port and a token on the channel to its parent.
import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Activity, DataPlane } from '../../src/contract/data-plane.ts';
import type { AccessRecord } from '../../src/gateway/access-log.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import { openKeyRing } from '../../src/gateway/key-ring.ts';
import { gatewayDefaults } from '../../src/gateway/settings.ts';
import { createTokens } from '../../src/gateway/token.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';

const [keyPath = '', certPath = '', upstreamPort = '', directory = ''] = process.argv.slice(2);
const suffix = 'vm.localhost';
const microvmId = 'microvm-bench';
const host = `bench.${suffix}`;

const signs = { activity: 0, inFlight: 0, lastActivityMs: 0 };
const touch = (): void => {
  signs.activity += 1;
  signs.lastActivityMs = Date.now();
};
const activity: Activity = {
  touch,
  end() {
    signs.inFlight -= 1;
    touch();
  },
};
const dataPlane: DataPlane = {
  find: (name) => (name === host ? { microvmId, host, state: 'RUNNING', autoResume: true } : undefined),
  begin() {
    signs.inFlight += 1;
    touch();
    return activity;
  },
  awake: () => undefined,
  limiter: () => undefined,
  async open() {
    const socket = connect({ port: Number(upstreamPort), host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    return socket;
  },
  onLeave() {},
};

/** Lines are gathered and written a buffer at a time, as nginx does with `buffer=64k`. */
function bufferedLines(path: string): (line: string) => void {
  const file = createWriteStream(path);
  let held = '';
  return (line) => {
    held += line;
    if (held.length < 64 * 1024) return;
    file.write(held);
    held = '';
  };
}
const write = bufferedLines(join(directory, 'access.log'));
const onAnswered = (record: AccessRecord): void => write(`${JSON.stringify(record)}\n`);

const tokens = createTokens(await openKeyRing(join(directory, 'tokens.json'), systemClock));
const tls = { key: readFileSync(keyPath, 'utf8'), cert: readFileSync(certPath, 'utf8') };
const settings = gatewayDefaults;
const gateway = createGateway({
  dataPlane,
  tokens,
  clock: systemClock,
  log: silentLog,
  suffix,
  tls,
  settings,
  onAnswered,
});
const { port } = await gateway.listen('127.0.0.1', 0);
const token = await tokens.mint({ microvmId, ports: 'all', expiresAtMs: Date.now() + 3_600_000 });
process.send?.({ port, token });
process.on('disconnect', () => process.exit());

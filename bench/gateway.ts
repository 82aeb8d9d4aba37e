// The gateway beside nginx and beside a bare TLS forwarder of Node and undici, all in front of the same application.
// Each proxy has one processor, load generator and application the other; they are loaded in turns, so that all see the same machine, noise included.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAuthority } from '../src/gateway/authority.ts';
import { systemClock } from '../src/lib/clock.ts';
import { type Measured, measure, type Shape } from './gateway/load.ts';
import { startForwarder, startGateway, startNginx, startUpstream, type Target } from './gateway/proxies.ts';
import { openTools } from './gateway/tools.ts';
import { median, say } from './report.ts';

export interface GatewayBenchOptions {
  rounds: number;
  /** Of each measurement with small answers. */
  seconds: number;
}

export interface Check {
  name: string;
  value: number;
  least?: number;
  most?: number;
  /** Undefined without a limit. */
  met?: boolean;
}

const shapesOf = (seconds: number) =>
  ({
    many: { path: '/', connections: 64, seconds },
    one: { path: '/', connections: 1, seconds },
    bulk: { path: '/large', connections: 4, requests: 12 },
    http2: { path: '/', connections: 8, streams: 8, seconds },
    http2Bulk: { path: '/large', connections: 4, streams: 1, requests: 12 },
  }) satisfies Record<string, Shape>;
type ShapeName = keyof ReturnType<typeof shapesOf>;
type Name = 'waterbear' | 'nginx' | 'undici' | 'application';
type Samples = Partial<Record<Name, Measured[]>>;

/** Prints a table and returns what was checked. Rejects when a tool cannot be had or a proxy does not serve. */
export async function benchGateway({ rounds, seconds }: GatewayBenchOptions): Promise<Check[]> {
  const shapes = shapesOf(seconds);
  const directory = mkdtempSync(join(tmpdir(), 'waterbear-bench-gateway-'));
  const targets: Target[] = [];
  const start = async (starting: Promise<Target>): Promise<Target> => {
    const target = await starting;
    targets.unshift(target);
    return target;
  };
  try {
    say('gateway: tools, application, proxies');
    const tools = await openTools();
    await openAuthority({ directory, suffix: 'vm.localhost', loopback: true, clock: systemClock });
    const files = { directory, key: join(directory, 'server.key'), cert: join(directory, 'server.crt') };
    const application = await start(startUpstream(directory));
    const proxies = [
      await start(startGateway(files, application.port)),
      await start(startNginx(tools, files, application.port)),
      await start(startForwarder(files, application.port)),
    ];
    const results = {} as Record<ShapeName, Samples>;
    for (const proxy of proxies) await measure(tools, directory, proxy, { ...shapes.many, seconds: 1 });
    for (let round = 1; round <= rounds; round++) {
      for (const [name, shape] of Object.entries(shapes) as [ShapeName, Shape][]) {
        say(`gateway: round ${round} of ${rounds}, ${name}`);
        results[name] ??= {};
        for (const target of proxies) {
          // The bare forwarder speaks HTTP/1.1 only.
          if (shape.streams !== undefined && target.name === 'undici') continue;
          add(results[name], target.name as Name, await measure(tools, directory, target, shape));
        }
        if (name === 'many' || name === 'bulk') {
          add(results[name], 'application', await measure(tools, directory, application, { ...shape, plain: true }));
        }
      }
    }
    return report(results, rounds);
  } finally {
    for (const target of targets) await target.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

function add(samples: Samples, name: Name, measured: Measured): void {
  samples[name] ??= [];
  samples[name].push(measured);
}

/** Median over the rounds of the quotient within one round, which saw one machine. */
function ratio(samples: Samples, name: Name, of: Name, what: (measured: Measured) => number): number {
  const [above = [], below = []] = [samples[name], samples[of]];
  return median(above.map((measured, round) => what(measured) / what(below[round] ?? measured)));
}

function report(results: Record<ShapeName, Samples>, rounds: number): Check[] {
  const { many, one, bulk, http2, http2Bulk } = results;
  const rate = ({ perSecond }: Measured): number => perSecond;
  const bytes = ({ bytesPerSecond }: Measured): number => bytesPerSecond;
  // What one processor would do by itself: others use this machine, too, and the load generator does not keep up with nginx.
  const perProcessor = ({ cpuUs }: Measured): number => 1e6 / cpuUs;
  const p50 = (samples: readonly Measured[] = []): number => median(samples.map(({ medianMs }) => medianMs));
  const checks: Check[] = [
    { name: 'the application alone, of nginx', value: ratio(many, 'application', 'nginx', rate), least: 2 },
    {
      name: 'small answers a processor, of undici',
      value: ratio(many, 'waterbear', 'undici', perProcessor),
      least: 0.7,
    },
    { name: 'small answers a processor, of nginx', value: ratio(many, 'waterbear', 'nginx', perProcessor), least: 0.3 },
    {
      name: '64 MiB answers a processor, of nginx',
      value: ratio(bulk, 'waterbear', 'nginx', perProcessor),
      least: 0.6,
    },
    { name: 'one connection, ms above nginx', value: p50(one.waterbear) - p50(one.nginx), most: 0.3 },
    { name: 'small answers, of undici', value: ratio(many, 'waterbear', 'undici', rate) },
    { name: 'small answers, of nginx', value: ratio(many, 'waterbear', 'nginx', rate) },
    { name: '64 MiB answers, of nginx', value: ratio(bulk, 'waterbear', 'nginx', bytes) },
    { name: 'HTTP/2 small answers, of nginx', value: ratio(http2, 'waterbear', 'nginx', perProcessor) },
    { name: 'HTTP/2 64 MiB answers, of nginx', value: ratio(http2Bulk, 'waterbear', 'nginx', perProcessor) },
  ].map(judged);
  console.log(`\nGateway over TLS, medians of ${rounds} rounds`);
  console.log(
    ['', 'requests/s', 'MiB/s', 'p50 ms', 'cpu µs', 'busy'].map((text, i) => text.padStart(i ? 12 : 24)).join(''),
  );
  for (const [shape, samples] of Object.entries(results)) {
    for (const [name, measured] of Object.entries(samples)) {
      const of = (what: (one: Measured) => number): number => median(measured.map(what));
      const cells = [of(rate).toFixed(0), (of(bytes) / 2 ** 20).toFixed(1), of((m) => m.medianMs).toFixed(2)];
      cells.push(of(({ cpuUs }) => cpuUs).toFixed(0), `${(of(({ busy }) => busy) * 100).toFixed(0)} %`);
      console.log(`${shape} ${name}`.padStart(24) + cells.map((cell) => cell.padStart(12)).join(''));
    }
  }
  for (const check of checks) {
    const limit =
      check.least === undefined ? (check.most === undefined ? '' : `at most ${check.most}`) : `at least ${check.least}`;
    const verdict = check.met === undefined ? '' : check.met ? 'met' : 'MISSED';
    console.log(`${check.name.padStart(36)} ${check.value.toFixed(2).padStart(8)}  ${limit.padEnd(14)} ${verdict}`);
  }
  return checks;
}

function judged(check: Check): Check {
  const { value, least, most } = check;
  if (least !== undefined) return { ...check, met: value >= least };
  return most === undefined ? check : { ...check, met: value <= most };
}

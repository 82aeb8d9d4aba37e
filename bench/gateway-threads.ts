// What threads give the gateway: two beside one, and both beside a gateway in a thread that has other work.
// All take turns, so that all see the same machine, noise included. Load generator and application share one processor with the second thread.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import { openAuthority } from '../src/gateway/authority.ts';
import { systemClock } from '../src/lib/clock.ts';
import { type Measured, measure, type Shape } from './gateway/load.ts';
import { startUpstream, type Target } from './gateway/proxies.ts';
import { openTools } from './gateway/tools.ts';
import type { GatewayBenchOptions } from './gateway.ts';
import { median, round as rounded, say } from './report.ts';

interface Proxy extends Target {
  tell(what: 'busy' | 'idle'): void;
}

/** Prints a table; resolves with the quotients as JSON. */
export async function benchGatewayThreads({ rounds, seconds }: GatewayBenchOptions): Promise<object> {
  const many = { path: '/', connections: 64, seconds } satisfies Shape;
  const few = { path: '/', connections: 4, seconds } satisfies Shape;
  const directory = mkdtempSync(join(tmpdir(), 'waterbear-bench-threads-'));
  const running: Target[] = [];
  try {
    const tools = await openTools();
    await openAuthority({ directory, suffix: 'vm.localhost', loopback: true, clock: systemClock });
    const application = await startUpstream(directory);
    running.push(application);
    const proxies: Proxy[] = [];
    for (const threads of [0, 1, 2]) {
      const proxy = await start(threads, application.port, directory);
      running.push(proxy);
      proxies.push(proxy);
      await measure(tools, directory, proxy, { ...many, seconds: 1 });
    }
    const results = new Map<string, Measured[]>();
    const take = async (row: string, proxy: Proxy, shape: Shape): Promise<void> => {
      const measured = await measure(tools, directory, proxy, shape);
      results.set(row, [...(results.get(row) ?? []), measured]);
    };
    for (let round = 1; round <= rounds; round++) {
      say(`gateway threads: round ${round} of ${rounds}`);
      for (const proxy of proxies) await take(`many, ${proxy.name}`, proxy, many);
      for (const proxy of proxies) {
        await take(`few, ${proxy.name}`, proxy, few);
        proxy.tell('busy');
        await later(200);
        await take(`few, ${proxy.name}, busy`, proxy, few);
        proxy.tell('idle');
      }
    }
    return report(results, rounds);
  } finally {
    for (const one of running.reverse()) await one.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

async function start(threads: number, relayPort: number, directory: string): Promise<Proxy> {
  const own = join(directory, `threads-${threads}`);
  mkdirSync(own);
  const files = [join(directory, 'server.key'), join(directory, 'server.crt')];
  const args = [join(import.meta.dirname, 'gateway/threads-proxy.ts'), ...files, String(relayPort), own];
  const child = spawn(process.execPath, [...args, String(threads)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const [{ port, token }] = await once(child, 'message', { signal: AbortSignal.timeout(30_000) });
  return {
    name: threads === 0 ? 'no thread of its own' : `${threads} thread${threads === 1 ? '' : 's'}`,
    port,
    headers: [`x-aws-proxy-auth: ${token}`],
    cpuSeconds() {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    tell: (what) => void child.send(what),
    async stop() {
      child.kill('SIGTERM');
      await once(child, 'exit');
    },
  };
}

function report(results: Map<string, Measured[]>, rounds: number): object {
  console.log(`\nGateway in threads, medians of ${rounds} rounds`);
  console.log(
    `${''.padEnd(34)}${['requests/s', 'p50 ms', 'p99 ms', 'cpu µs', 'busy'].map((text) => text.padStart(12)).join('')}`,
  );
  for (const [row, measured] of results) {
    const of = (what: (one: Measured) => number): number => median(measured.map(what));
    const cells = [of((one) => one.perSecond).toFixed(0), of((one) => one.medianMs).toFixed(2)];
    cells.push(of((one) => one.p99Ms).toFixed(2), of((one) => one.cpuUs).toFixed(0));
    cells.push(`${(of((one) => one.busy) * 100).toFixed(0)} %`);
    console.log(row.padEnd(34) + cells.map((cell) => cell.padStart(12)).join(''));
  }
  const ratio = (above: string, below: string, what: (one: Measured) => number): number => {
    const [a = [], b = []] = [results.get(above), results.get(below)];
    return rounded(median(a.map((one, i) => what(one) / what(b[i] ?? one))), 2);
  };
  const twoOfOne = ratio('many, 2 threads', 'many, 1 thread', ({ perSecond }) => perSecond);
  console.log(`two threads, of one: ${twoOfOne} times the requests`);
  const busy = ['no thread of its own', '1 thread', '2 threads'].map((name): [string, number] => {
    const times = ratio(`few, ${name}, busy`, `few, ${name}`, ({ p99Ms }) => p99Ms);
    console.log(`p99 while the first thread works, ${name}: ${times} times`);
    return [name, times];
  });
  return { twoOfOne, p99WhileBusy: Object.fromEntries(busy) };
}

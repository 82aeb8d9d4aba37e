// One run of h2load against one target.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../src/lib/process.ts';
import type { Target } from './proxies.ts';
import type { Tools } from './tools.ts';

export interface Shape {
  path: string;
  connections: number;
  /** HTTP/2 with this many streams a connection; HTTP/1.1 without. */
  streams?: number;
  /** Either for so long, or so many requests. */
  seconds?: number;
  requests?: number;
  plain?: boolean;
}

export interface Measured {
  perSecond: number;
  bytesPerSecond: number;
  medianMs: number;
  p99Ms: number;
  /** Processor time of the target per request. */
  cpuUs: number;
  /** Share of a processor that the target used. */
  busy: number;
}

export const host = 'bench.vm.localhost';

/** Rejects when a request failed: a proxy that refuses is fast, too. */
export async function measure(tools: Tools, directory: string, target: Target, shape: Shape): Promise<Measured> {
  const log = join(directory, 'h2load.log');
  rmSync(log, { force: true });
  const { path, connections, streams, seconds, requests, plain } = shape;
  const args = [
    ...['-c', '1', tools.h2load, '-t', '1', '-c', String(connections), '--log-file', log],
    ...(streams === undefined ? ['--h1'] : ['-m', String(streams), '-w', '24', '-W', '24']),
    ...(seconds === undefined ? ['-n', String(requests)] : ['-D', String(seconds)]),
    ...target.headers.flatMap((header) => ['-H', header]),
    ...['--connect-to', `127.0.0.1:${target.port}`, `${plain ? 'http' : 'https'}://${host}${path}`],
  ];
  const cpuBefore = target.cpuSeconds();
  const { stdout } = await run('taskset', args, { env: tools.env, timeoutMs: 120_000, maxOutputBytes: 1 << 22 });
  const cpuSeconds = target.cpuSeconds() - cpuBefore;
  const text = readFileSync(log, 'utf8');
  const rows = text.split('\n').filter((line) => line !== '');
  const bad = rows.find((row) => row.split('\t')[1] !== '200');
  if (rows.length === 0 || bad !== undefined) throw new Error(`${target.name} did not serve: ${bad ?? stdout}`);
  const took = shape.seconds ?? secondsOf(stdout);
  const size = path === '/large' ? 64 * 2 ** 20 : 13;
  const times = rows.map((row) => Number(row.split('\t')[2])).sort((a, b) => a - b);
  return {
    perSecond: rows.length / took,
    bytesPerSecond: (rows.length * size) / took,
    medianMs: (times[times.length >> 1] ?? 0) / 1000,
    p99Ms: (times[Math.floor(times.length * 0.99)] ?? 0) / 1000,
    cpuUs: (cpuSeconds * 1e6) / rows.length,
    busy: cpuSeconds / took,
  };
}

function secondsOf(stdout: string): number {
  const [, amount = '', unit = ''] = /finished in ([\d.]+)(us|ms|s|m)?/.exec(stdout) ?? [];
  return Number(amount) * ({ us: 1e-6, ms: 1e-3, s: 1, m: 60 }[unit] ?? 1);
}

// GetMicrovm, signed and over real HTTP, beside a bare Fastify route with the same payload in the same process.
// Server and load generator have a core each; the two are loaded in turns, so that both see the same machine, noise included.
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GetMicrovmCommand, LambdaMicrovmsClient } from '@aws-sdk/client-lambda-microvms';
import type { Load } from './control-plane/load.ts';
import type { Ready } from './control-plane/server.ts';
import { median, round, say } from './report.ts';

const wanted = 0.4;
const connections = 32;

export interface ControlPlaneBench {
  rounds: number;
  /** Of load on each of the two in each round. */
  seconds: number;
}

const file = (name: string): string => join(import.meta.dirname, 'control-plane', name);

function startServer(): ChildProcess {
  const stdio = ['ignore', 'ignore', 'inherit', 'ipc'] as const;
  return spawn('taskset', ['-c', '0', process.execPath, file('server.ts')], { stdio: [...stdio] });
}

/** The bytes of a GetMicrovm as the SDK signs it; good for fifteen minutes. */
async function signedRequest({ waterbear, region, credentials, microvmId }: Ready): Promise<Buffer> {
  let sent: { path: string; headers: Record<string, string> } | undefined;
  const requestHandler = {
    async handle(request: { path: string; headers: Record<string, string> }): Promise<never> {
      sent = request;
      throw new Error('caught');
    },
  };
  const endpoint = `http://127.0.0.1:${waterbear}`;
  const client = new LambdaMicrovmsClient({ endpoint, region, credentials, maxAttempts: 1, requestHandler });
  await client.send(new GetMicrovmCommand({ microvmIdentifier: microvmId })).catch(() => undefined);
  if (!sent) throw new Error('The SDK sent nothing.');
  const headers = Object.entries(sent.headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.from(`GET ${sent.path} HTTP/1.1\r\n${headers.join('')}\r\n`);
}

interface Measured extends Load {
  /** Processor time of the server per request, in microseconds: says more than the rate on a machine that others use, too. */
  cpuUs: number;
}

async function cpuUs(server: ChildProcess): Promise<number> {
  const answer = once(server, 'message', { signal: AbortSignal.timeout(10_000) });
  server.send('cpu');
  return Number((await answer)[0]);
}

async function load(server: ChildProcess, port: number, request: Buffer, forSeconds: number): Promise<Measured> {
  const before = await cpuUs(server);
  const args = [file('load.ts'), String(port), String(forSeconds), String(connections), request.toString('base64')];
  const { stdout } = await promisify(execFile)('taskset', ['-c', '1', process.execPath, ...args], { timeout: 60_000 });
  const result = JSON.parse(stdout) as Load;
  return { ...result, cpuUs: ((await cpuUs(server)) - before) / result.requests };
}

const perSecond = ({ requests, seconds }: Measured): number => requests / seconds;

/** Prints a table; resolves with the same as JSON. */
export async function benchControlPlane({ rounds, seconds }: ControlPlaneBench): Promise<object> {
  const server = startServer();
  try {
    const [ready] = (await once(server, 'message', { signal: AbortSignal.timeout(60_000) })) as [Ready];
    const request = await signedRequest(ready);
    for (const port of [ready.waterbear, ready.fastify]) await load(server, port, request, seconds);
    const ratios: number[] = [];
    const [own, bare]: [Measured[], Measured[]] = [[], []];
    for (let turn = 1; turn <= rounds; turn++) {
      say(`round ${turn} of ${rounds}`);
      const a = await load(server, ready.waterbear, request, seconds);
      const b = await load(server, ready.fastify, request, seconds);
      own.push(a);
      bare.push(b);
      ratios.push(perSecond(a) / perSecond(b));
    }
    console.log(`\nGetMicrovm: ${connections} clients, median of ${rounds} rounds of ${seconds} s`);
    return report(own, bare, median(ratios));
  } finally {
    if (server.connected) server.disconnect();
    await once(server, 'exit');
  }
}

function report(own: readonly Measured[], bare: readonly Measured[], ratio: number): object {
  const row = (loads: readonly Measured[]) => ({
    perSecond: Math.round(median(loads.map(perSecond))),
    medianMs: round(median(loads.map(({ medianMs }) => medianMs)), 2),
    cpuUs: Math.round(median(loads.map((load) => load.cpuUs))),
  });
  const met = ratio >= wanted;
  const result = { waterbear: row(own), fastify: row(bare), ratio: round(ratio, 2), wanted, met };
  for (const name of ['waterbear', 'fastify'] as const) {
    const { perSecond: rate, medianMs, cpuUs: cpu } = result[name];
    const cells = [`${rate} per second`, `${medianMs} ms`, `${cpu} µs of processor`];
    console.log(name.padStart(12) + cells.map((cell) => cell.padStart(22)).join(''));
  }
  console.log(
    `${'ratio'.padStart(12)} ${String(result.ratio).padStart(8)} (at least ${wanted}) ${met ? 'met' : 'MISSED'}`,
  );
  return result;
}

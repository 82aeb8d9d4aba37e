// Many sleeping MicroVMs on one host: what they take, and what they cost those who ask, wake one, or start the server.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { diskUsage } from '../src/vmm/qemu/disk-usage.ts';
import { buildImage, sendRequest, untilState } from '../tests/support/server.ts';
import { type ServerProcess, startServerProcess } from '../tests/support/server-process.ts';
import { vmmsOf } from '../tests/support/vmms.ts';
import { zipOf } from '../tests/support/zip.ts';
import { median, round, say } from './report.ts';

const few = 3;
/** Launched and put to sleep side by side. */
const wave = 4;
const pageSize = 50;
const idlePolicy = { maxIdleDurationSeconds: 36_000, suspendedDurationSeconds: 360_000, autoResumeEnabled: true };
/** A request can come while slots are made and removed in the background; what is measured comes after that. */
const settleMs = 1500;

export interface SleepersBench {
  /** MicroVMs that sleep at the end. */
  sleepers: number;
  /** Wakes and calls that a median is made of. */
  runs: number;
}

/** Milliseconds, medians. */
export interface Costs {
  sleepers: number;
  getMs: number;
  /** One page of up to 50. */
  listMs: number;
  wakeMs: number;
  /** From the start of the process until it serves. */
  startMs: number;
  /** Resident, of the server after its start. */
  serverMib: number;
}

export interface SleepersReport {
  vmms: number;
  diskKibEach: number;
  few: Costs;
  many: Costs;
}

const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

/** Prints a table; resolves with the same as JSON. */
export async function benchSleepers(options: SleepersBench): Promise<object> {
  const report = await measureSleepers(options);
  const { many } = report;
  console.log(`\n${many.sleepers} sleeping MicroVMs of one image, beside ${few}; medians of ${options.runs}, TCG`);
  const rows: [keyof Costs, string][] = [
    ['getMs', 'GetMicrovm (ms)'],
    ['listMs', 'ListMicrovms, a page (ms)'],
    ['wakeMs', 'wake (ms)'],
    ['startMs', 'start of the server (ms)'],
    ['serverMib', 'server, resident (MiB)'],
  ];
  const cells = (values: readonly (string | number)[]): string =>
    values.map((one) => String(one).padStart(10)).join('');
  console.log(''.padEnd(28) + cells([few, many.sleepers, 'ratio']));
  for (const [name, text] of rows) {
    const [a, b] = [report.few[name], many[name]];
    console.log(text.padEnd(28) + cells([a, b, round(b / a, 2)]));
  }
  console.log(`VMM processes ${report.vmms} · disk for each sleeper ${report.diskKibEach} KiB`);
  return { sleepers: report };
}

/** The same without printing. */
export async function measureSleepers({ sleepers, runs }: SleepersBench): Promise<SleepersReport> {
  const directory = mkdtempSync(join(tmpdir(), 'waterbear-bench-'));
  const data = join(directory, 'data');
  let server = await startServerProcess(data);
  try {
    const app = resolve(import.meta.dirname, 'app');
    const entries = readdirSync(app).map((name) => ({ name, data: readFileSync(join(app, name)) }));
    await server.s3.createBucket({ Bucket: 'test-bucket' });
    const { imageArn, state, reason } = await buildImage(server, 'sleepers', zipOf(entries));
    if (state !== 'SUCCESSFUL') throw new Error(`The image was not built: ${reason}`);
    const ids: string[] = [];
    const growTo = async (count: number): Promise<void> => {
      while (ids.length < count) {
        const next = Array.from({ length: Math.min(wave, count - ids.length) }, () => launchAsleep(server, imageArn));
        ids.push(...(await Promise.all(next)));
        if (ids.length % 20 < wave) say(`sleepers: ${ids.length} of ${count}`);
      }
    };
    const measure = async (): Promise<Costs> => {
      await server.stop('SIGTERM');
      const started = performance.now();
      server = await startServerProcess(data);
      const startMs = round(performance.now() - started, 0);
      await pause(settleMs);
      const serverMib = residentMib(server.facts.pid);
      return { sleepers: ids.length, ...(await askAndWake(server, ids[0] ?? '', runs)), startMs, serverMib };
    };
    await growTo(few);
    const before = await measure();
    await growTo(sleepers);
    const many = await measure();
    const vmms = vmmsOf(data).length;
    const diskKibEach = Math.round((await diskUsage(join(data, 'vms'))) / ids.length / 1024);
    return { vmms, diskKibEach, few: before, many };
  } finally {
    await server.stop('SIGTERM');
    rmSync(directory, { recursive: true, force: true });
  }
}

async function launchAsleep(server: ServerProcess, imageIdentifier: string): Promise<string> {
  const { microvmId = '' } = await server.lambda.runMicrovm({ imageIdentifier, idlePolicy });
  await untilState(server.lambda, microvmId, 'RUNNING');
  await putToSleep(server, microvmId);
  return microvmId;
}

async function putToSleep(server: ServerProcess, microvmId: string): Promise<void> {
  await server.lambda.suspendMicrovm({ microvmIdentifier: microvmId });
  await untilState(server.lambda, microvmId, 'SUSPENDED');
}

async function askAndWake(server: ServerProcess, microvmId: string, runs: number) {
  const { lambda } = server;
  const vm = { microvmIdentifier: microvmId };
  const order = { ...vm, expirationInMinutes: 60, allowedPorts: [{ port: 8080 }] };
  const { authToken = {} } = await lambda.createMicrovmAuthToken(order);
  const { endpoint = '' } = await lambda.getMicrovm(vm);
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    const from = performance.now();
    await work();
    return performance.now() - from;
  };
  const times: Record<'getMs' | 'listMs' | 'wakeMs', number[]> = { getMs: [], listMs: [], wakeMs: [] };
  for (let run = 0; run < runs; run++) {
    times.wakeMs.push(await timed(() => sendRequest(server.ca, endpoint, authToken, '/', undefined)));
    await putToSleep(server, microvmId);
    await pause(settleMs);
    times.getMs.push(await timed(() => lambda.getMicrovm(vm)));
    times.listMs.push(await timed(() => lambda.listMicrovms({ maxResults: pageSize })));
  }
  const of = (name: keyof typeof times): number => round(median(times[name]));
  return { getMs: of('getMs'), listMs: of('listMs'), wakeMs: of('wakeMs') };
}

function residentMib(pid: number): number {
  const kib = Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
  return Math.round(kib / 1024);
}

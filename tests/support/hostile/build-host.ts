// A host for hostile builds, with what they must not find: files, a process, a secret in the environment, services near and far.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BuildOrder } from '../../../src/contract/node-api.ts';
import { instanceOf } from '../../../src/node/layout.ts';
import type { NodeSettings } from '../../../src/node/open-node.ts';
import { buildOrder, type RealNode, startRealNode } from '../real-node.ts';
import { type ZipEntry, zipOf } from '../zip.ts';
import { type HostCanary, hostAddresses, startHostCanary } from './host-canary.ts';
import { forbiddenAddresses, type Outside, startOutside } from './outside.ts';

export interface Built {
  /** Undefined when it succeeded. */
  failure: { code: string; message: string; facts: Record<string, unknown> } | undefined;
  log: string;
  buildId: string;
}

export interface Watch {
  signal?: AbortSignal;
  onLog?: (text: string) => void;
}

export interface BuildHost extends AsyncDisposable {
  readonly real: RealNode;
  readonly canary: HostCanary;
  readonly outside: Outside;
  /** In no file, environment or command line but those that builds must not see. */
  readonly secret: string;
  /** Files of the host that hold the secret. */
  readonly files: string[];
  readonly sentinel: ChildProcess;
  /** Everything that steps.py wants to know. */
  readonly order: string;
  build(entries: readonly ZipEntry[], changes?: Partial<BuildOrder>, watch?: Watch): Promise<Built>;
}

/** Largest process number in a builder VM. */
const mostInBuilder = 8192;

export async function startBuildHost(settings: Partial<NodeSettings>): Promise<BuildHost> {
  const stack = new AsyncDisposableStack();
  try {
    const secret = `canary-${crypto.randomUUID()}`;
    const canary = stack.use(await startHostCanary());
    const real = await startRealNode({ egress: 'internet', ...settings });
    stack.defer(() => real.close());
    const outside = stack.use(await startOutside(instanceOf(real.directory), canary.port));
    const files = await plantFiles(stack, real.directory, secret);
    const sentinel = spawn('sleep', ['3600'], { argv0: `sentinel-${secret}`, env: { SECRET: secret } });
    stack.defer(() => void sentinel.kill('SIGKILL'));
    const addresses = ['127.0.0.1', ...hostAddresses(), ...Object.values(forbiddenAddresses).flat()];
    // Smaller numbers mean processes of the builder VM, in there.
    const pids = [process.pid, process.ppid, sentinel.pid].filter((pid = 0) => pid > mostInBuilder);
    const order = { secret, files, pids, addresses, ports: [canary.port, 9100], sentinel: `sentinel-${secret}` };
    return {
      ...{ real, canary, outside, secret, files, sentinel, order: JSON.stringify(order) },
      build: (entries, changes, watch) => build(real, entries, changes, watch),
      [Symbol.asyncDispose]: () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** Where other users, the server and its builds keep things. */
async function plantFiles(stack: AsyncDisposableStack, data: string, secret: string): Promise<string[]> {
  const places = ['/var/tmp', '/root', '/etc', '/run', '/dev/shm', join(data, 'images')];
  const files = places.map((place) => join(place, `wbprobe-${process.pid}`));
  await mkdir(join(data, 'images'), { recursive: true });
  stack.defer(async () => {
    for (const file of files) await rm(file, { force: true });
  });
  for (const file of files) await writeFile(file, `${secret}\n`, { mode: 0o644 });
  return files;
}

const maxKept = 32 << 20;
let builds = 0;

async function build(
  real: RealNode,
  entries: readonly ZipEntry[],
  changes: Partial<BuildOrder> = {},
  { signal, onLog }: Watch = {},
): Promise<Built> {
  const archivePath = join(real.directory, `hostile-${builds++}.zip`);
  await writeFile(archivePath, zipOf(entries));
  let log = '';
  const order = buildOrder(archivePath, { memoryMib: 384, diskMib: 512, ...changes });
  const keep = (text: string): void => {
    if (log.length < maxKept) log += text;
    onLog?.(text);
  };
  const failure = await real.node.build(order, keep, signal).then(
    () => undefined,
    (error: Built['failure']) => error,
  );
  await rm(archivePath);
  return { failure, log, buildId: order.buildId };
}

/** The files of the hostile application, as entries of a zip. */
export async function hostileFiles(): Promise<ZipEntry[]> {
  const directory = join(import.meta.dirname, '../apps/hostile');
  const names = (await readdir(directory)).filter((name) => name.endsWith('.py'));
  return Promise.all(names.map(async (name) => ({ name, data: await readFile(join(directory, name)) })));
}

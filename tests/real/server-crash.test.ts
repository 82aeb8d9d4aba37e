// The server is killed in the middle of everything, or leaves its VMs running on purpose; the next one goes on with them.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { instanceOf } from '../../src/node/layout.ts';
import { leftovers } from '../support/leftovers.ts';
import { projectZip } from '../support/real-node.ts';
import { buildImage, poll, sendRequest, untilState } from '../support/server.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';
import { vmmsOf } from '../support/vmms.ts';

let data = '';
let server: ServerProcess;
let imageArn = '';

const ours = async (): Promise<string[]> => (await leftovers()).filter((text) => text.includes(instanceOf(data)));
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'waterbear-crash-'));
  server = await startServerProcess(data);
  await server.s3.createBucket({ Bucket: 'test-bucket' });
  imageArn = (await buildImage(server, 'state', await projectZip('state'))).imageArn;
});
afterAll(async () => {
  // A start on the same directory takes up what a killed server left, should a test have failed in between.
  if (server?.child.exitCode !== null || server.child.signalCode) server = await startServerProcess(data);
  await server?.stop('SIGTERM');
  await rm(data, { recursive: true, force: true });
});

interface Counter {
  id: string;
  count(): Promise<number>;
}

async function launch(): Promise<Counter> {
  const { microvmId: id = '' } = await server.lambda.runMicrovm({ imageIdentifier: imageArn });
  const { authToken = {} } = await server.lambda.createMicrovmAuthToken({
    microvmIdentifier: id,
    expirationInMinutes: 30,
    allowedPorts: [{ port: 8080 }],
  });
  return {
    id,
    async count() {
      const { endpoint = '' } = await server.lambda.getMicrovm({ microvmIdentifier: id });
      const answer = await sendRequest(server.ca, endpoint, authToken, '/', undefined);
      expect(answer.status).toBe(200);
      return (JSON.parse(answer.body) as { count: number }).count;
    },
  };
}

const suspend = ({ id }: Counter) => server.lambda.suspendMicrovm({ microvmIdentifier: id });
const resume = ({ id }: Counter) => server.lambda.resumeMicrovm({ microvmIdentifier: id });
const asleep = async (vm: Counter): Promise<void> => {
  await suspend(vm);
  await untilState(server.lambda, vm.id, 'SUSPENDED');
};
const awake = async (vm: Counter): Promise<void> => {
  await resume(vm);
  await untilState(server.lambda, vm.id, 'RUNNING');
};

async function vmmOf({ id }: Counter): Promise<number> {
  for (const pid of vmmsOf(data)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(id.slice(-12))) return Number(pid);
  }
  throw new Error(`no VMM of ${id}`);
}

async function restart(signal: NodeJS.Signals, ...more: string[]): Promise<void> {
  await server.stop(signal);
  server = await startServerProcess(data, ...more);
}

test('killed with one running, one asleep and one on its way: the first goes on as the same process, and none loses anything', async () => {
  const [running, sleeping, turning] = [await launch(), await launch(), await launch()];
  for (const vm of [running, sleeping, turning]) expect(await vm.count()).toBe(1);
  await asleep(sleeping);
  const pid = await vmmOf(running);
  let counted = 1;
  for (const [moment, delayMs] of [
    ['suspend', 0],
    ['suspend', 150],
    ['suspend', 400],
    ['resume', 100],
    ['resume', 500],
  ] as const) {
    if (moment === 'resume') await asleep(turning);
    await (moment === 'suspend' ? suspend(turning) : resume(turning));
    await pause(delayMs);
    await restart('SIGKILL');
    // The first request after the ports are open: it waits for what it needs, and for nothing else.
    counted += 1;
    expect(await running.count()).toBe(counted);
    expect(await vmmOf(running)).toBe(pid);
    // What was asked for before the crash comes to its end.
    await untilState(server.lambda, turning.id, moment === 'suspend' ? 'SUSPENDED' : 'RUNNING');
    if (moment === 'suspend') await awake(turning);
    expect(await turning.count()).toBe(counted);
    expect((await server.lambda.getMicrovm({ microvmIdentifier: sleeping.id })).state).toBe('SUSPENDED');
  }
  await awake(sleeping);
  expect(await sleeping.count()).toBe(2);
  for (const { id } of [running, sleeping, turning]) await server.lambda.terminateMicrovm({ microvmIdentifier: id });
  for (const { id } of [running, sleeping, turning]) await untilState(server.lambda, id, 'TERMINATED');
  await poll('the end of all VMMs', async () => (vmmsOf(data).length === 0 ? true : undefined));
});

test('--keep-vms: they run on while no server is there, and the next one takes them over', async () => {
  await restart('SIGTERM', '--keep-vms');
  const vm = await launch();
  expect(await vm.count()).toBe(1);
  const pid = await vmmOf(vm);
  expect(await server.stop('SIGTERM')).toBe(0);
  expect(vmmsOf(data)).toEqual([String(pid)]);
  server = await startServerProcess(data);
  expect(await vm.count()).toBe(2);
  expect(await vmmOf(vm)).toBe(pid);
  await server.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
});

test('a VM that died with its server: it ends with a reason, or goes on from its last sleep when that is wished', async () => {
  const [kept, ended] = [await launch(), await launch()];
  for (const vm of [kept, ended]) expect(await vm.count()).toBe(1);
  await asleep(kept);
  await awake(kept);
  expect(await kept.count()).toBe(2);
  await server.stop('SIGKILL');
  for (const pid of vmmsOf(data)) process.kill(Number(pid), 'SIGKILL');
  server = await startServerProcess(data, '--lost-vms', 'restore');
  const gone = await untilState(server.lambda, ended.id, 'TERMINATED');
  expect(gone.stateReason).toMatch(/ended while the server was not running.*no snapshot/);
  const found = await untilState(server.lambda, kept.id, 'SUSPENDED');
  expect(found.stateReason).toMatch(/continues from its snapshot of \d{4}-.*what happened since is lost/);
  expect(await kept.count()).toBe(2);
  await restart('SIGKILL');
  expect(await kept.count()).toBe(3);
  await server.lambda.terminateMicrovm({ microvmIdentifier: kept.id });
  await untilState(server.lambda, kept.id, 'TERMINATED');
  expect(await server.stop('SIGTERM')).toBe(0);
  expect(await ours()).toEqual([]);
});

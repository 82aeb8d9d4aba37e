// The server as a process: what it leaves behind when it is told to stop, and when it is killed.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { LambdaMicrovms } from '@aws-sdk/client-lambda-microvms';
import { S3 } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readServerFile } from '../../cli/server-file.ts';
import { instanceOf } from '../../src/node/layout.ts';
import { leftovers } from '../support/leftovers.ts';
import { projectZip } from '../support/real-node.ts';
import { buildImage, sendRequest, untilState } from '../support/server.ts';

const command = resolve(import.meta.dirname, '../../bin/waterbear');
let data = '';
let child: ChildProcess | undefined;
let imageArn = '';

async function startServer(): Promise<void> {
  const args = [
    'serve',
    '--data',
    data,
    '--api-port',
    '0',
    '--gateway-port',
    '0',
    '--accel',
    'tcg',
    '--build-isolation',
    'host',
  ];
  const started = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  child = started;
  await Promise.race([
    once(started, 'message'),
    once(started, 'exit').then(([code]) => {
      throw new Error(`the server ended with ${code}`);
    }),
  ]);
}

async function stopServer(signal: NodeJS.Signals): Promise<number | null> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return null;
  const gone = once(child, 'exit');
  child.kill(signal);
  return (await gone)[0] as number | null;
}

async function clients() {
  const facts = await readServerFile(data);
  const credentials = { accessKeyId: facts.accessKeyId, secretAccessKey: facts.secretAccessKey };
  const config = { endpoint: facts.apiUrl, region: facts.region, credentials };
  return {
    lambda: new LambdaMicrovms(config),
    s3: new S3({ ...config, forcePathStyle: true }),
    ca: await readFile(facts.caFile, 'utf8'),
  };
}

const ours = async (): Promise<string[]> => (await leftovers()).filter((text) => text.includes(instanceOf(data)));

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'waterbear-process-'));
  await startServer();
  const { lambda, s3 } = await clients();
  await s3.createBucket({ Bucket: 'test-bucket' });
  imageArn = (await buildImage({ lambda, s3 }, 'state', await projectZip('state'))).imageArn;
});
afterAll(async () => {
  // A start on the same directory ends what a killed server left, should a test have failed in between.
  if (child?.signalCode) await startServer();
  await stopServer('SIGTERM');
  await rm(data, { recursive: true, force: true });
});

async function launch(): Promise<{ id: string; count: () => Promise<number> }> {
  const { lambda } = await clients();
  const { microvmId: id = '' } = await lambda.runMicrovm({ imageIdentifier: imageArn });
  const { authToken = {} } = await lambda.createMicrovmAuthToken({
    microvmIdentifier: id,
    expirationInMinutes: 30,
    allowedPorts: [{ port: 8080 }],
  });
  const count = async (): Promise<number> => {
    const now = await clients();
    const { endpoint = '' } = await now.lambda.getMicrovm({ microvmIdentifier: id });
    const answer = await sendRequest(now.ca, endpoint, authToken, '/', undefined);
    expect(answer.status).toBe(200);
    return (JSON.parse(answer.body) as { count: number }).count;
  };
  return { id, count };
}

test('after SIGTERM only the data directory is left; the next start finds the MicroVMs asleep, and they wake', async () => {
  const vms = [await launch(), await launch()];
  for (const vm of vms) expect(await vm.count()).toBe(1);
  expect((await ours()).length).toBeGreaterThan(0);
  expect(await stopServer('SIGTERM')).toBe(0);
  expect(await ours()).toEqual([]);
  await startServer();
  const { lambda } = await clients();
  for (const vm of vms) {
    expect((await lambda.getMicrovm({ microvmIdentifier: vm.id })).state).toBe('SUSPENDED');
    expect(await vm.count()).toBe(2);
  }
});

test('after SIGKILL the next start ends what was left, keeps what slept, and says what became of the rest', async () => {
  const [asleep, awake] = [await launch(), await launch()];
  expect(await asleep.count()).toBe(1);
  expect(await awake.count()).toBe(1);
  const { lambda } = await clients();
  await lambda.suspendMicrovm({ microvmIdentifier: asleep.id });
  await untilState(lambda, asleep.id, 'SUSPENDED');
  await stopServer('SIGKILL');
  expect((await ours()).some((text) => text.startsWith('process'))).toBe(true);
  await startServer();
  const again = await clients();
  expect((await again.lambda.getMicrovm({ microvmIdentifier: asleep.id })).state).toBe('SUSPENDED');
  const ended = await again.lambda.getMicrovm({ microvmIdentifier: awake.id });
  expect(ended).toMatchObject({ state: 'TERMINATED', stateReason: expect.stringMatching(/restart/) });
  await again.lambda.resumeMicrovm({ microvmIdentifier: asleep.id });
  expect(await asleep.count()).toBe(2);
  expect(await stopServer('SIGTERM')).toBe(0);
  expect(await ours()).toEqual([]);
});

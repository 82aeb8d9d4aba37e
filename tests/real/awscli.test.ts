// The life of a real VM by awscli alone, as its users lead it: from the zip on their disk to tags and terminate.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AwsCli, openAwsCli } from '../support/awscli.ts';
import { projectZip } from '../support/real-node.ts';
import { poll, startTestServer, type TestServer } from '../support/server.ts';

let it: TestServer;
let cli: AwsCli;
let imageArn = '';
beforeAll(async () => {
  it = await startTestServer();
  const { apiUrl: endpoint, region, credentials } = it.server;
  cli = await openAwsCli({ endpoint, region, credentials });
});
afterAll(async () => {
  await it?.close();
  await cli?.[Symbol.asyncDispose]();
});

const call = (...args: string[]) => cli.call('lambda-microvms', ...args);

const until = (state: string, ...args: string[]): Promise<true> =>
  poll(`${state} by ${args[0]}`, async () => ((await call(...args)).state === state ? true : undefined));

test('a bucket, the zip, an image of it', async () => {
  const zip = join(cli.home, 'state.zip');
  await writeFile(zip, await projectZip('state'));
  await cli.text('s3', 'mb', 's3://cli-apps');
  await cli.text('s3', 'cp', zip, 's3://cli-apps/state.zip');
  const base = 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1';
  const order = ['--name', 'state', '--base-image-arn', base, '--code-artifact', 'uri=s3://cli-apps/state.zip'];
  const rest = ['--build-role-arn', 'arn:aws:iam::000000000000:role/build', '--resources', 'minimumMemoryInMiB=512'];
  ({ imageArn } = await call('create-microvm-image', ...order, ...rest, '--tags', 'team=cli'));
  await until('CREATED', 'get-microvm-image', '--image-identifier', imageArn);
});

interface State {
  count: number;
  time: number;
  monotonic: number;
}

test('launch, look, token, suspend, resume, terminate', async () => {
  const { microvmId, endpoint } = await call('run-microvm', '--image-identifier', imageArn);
  const vm = ['--microvm-identifier', microvmId];
  await until('RUNNING', 'get-microvm', ...vm);
  expect(await call('list-microvms', '--query', 'items[].[microvmId,state]')).toEqual([[microvmId, 'RUNNING']]);
  const ports = ['--expiration-in-minutes', '5', '--allowed-ports', 'port=8080'];
  const { authToken } = await call('create-microvm-auth-token', ...vm, ...ports);
  const look = async (): Promise<State> => {
    const { status, body } = await it.get(endpoint, authToken);
    expect(status).toBe(200);
    return JSON.parse(body) as State;
  };
  const before = await look();
  await call('suspend-microvm', ...vm);
  await until('SUSPENDED', 'get-microvm', ...vm);
  const asleepAt = Date.now();
  await expect.poll(() => Date.now() - asleepAt, { timeout: 5000 }).toBeGreaterThan(1500);
  const asleepMs = Date.now() - asleepAt;
  await call('resume-microvm', ...vm);
  await until('RUNNING', 'get-microvm', ...vm);
  const after = await look();
  expect(after.count).toBe(before.count + 1);
  // The wall clock has gone on, the monotonic one stood still meanwhile.
  const stood = after.time - before.time - (after.monotonic - before.monotonic);
  expect(stood * 1000).toBeGreaterThan(asleepMs - 500);
  await call('terminate-microvm', ...vm);
  await until('TERMINATED', 'get-microvm', ...vm);
  // Repeated, as a script would.
  await call('terminate-microvm', ...vm);
});

test('tags, errors, and the end of the image', async () => {
  const resource = ['--resource', imageArn];
  await call('tag-resource', ...resource, '--tags', 'a=1,b=2');
  await call('untag-resource', ...resource, '--tag-keys', 'team', 'a');
  expect((await call('list-tags', ...resource)).Tags).toEqual({ b: '2' });
  expect((await call('delete-microvm-image', '--image-identifier', imageArn)).state).toBe('DELETING');
  const gone = () => cli.failure('lambda-microvms', 'get-microvm-image', '--image-identifier', imageArn);
  await expect
    .poll(gone, { timeout: 30_000 })
    .toContain(
      `An error occurred (ResourceNotFoundException) when calling the GetMicrovmImage operation: MicroVMImage not found for MicroVMImageID: ${imageArn}`,
    );
});

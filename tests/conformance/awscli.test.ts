// Debian's awscli 2.9 with both services: a whole life on a server with the fake driver, pages, queries, and errors as a user sees them.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AwsCli, openAwsCli } from '../support/awscli.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

let server: TestServer;
let cli: AwsCli;
beforeAll(async () => {
  server = await startTestServer({ driver: 'fake' });
  const { apiUrl: endpoint, region, credentials } = server.server;
  cli = await openAwsCli({ endpoint, region, credentials });
});
afterAll(async () => {
  await server.close();
  await cli[Symbol.asyncDispose]();
});

const call = (...args: string[]) => cli.call('lambda-microvms', ...args);
const core = (...args: string[]) => cli.call('lambda-core', ...args);
const failure = (...args: string[]) => cli.failure('lambda-microvms', ...args);

async function untilState(state: string, look: () => Promise<{ state?: string; State?: string }>): Promise<void> {
  const end = Date.now() + 60_000;
  for (let found: string | undefined; found !== state; ) {
    if (Date.now() > end) throw new Error(`It did not become ${state}, it is ${found}`);
    const looked = await look();
    found = looked.state ?? looked.State;
  }
}
const until = (state: string, ...args: string[]): Promise<void> => untilState(state, () => call(...args));

const role = 'arn:aws:iam::000000000000:role/build';
let imageArn = '';

test('a bucket, the zip, an image of it', { timeout: 120_000 }, async () => {
  const [zip, back] = [join(cli.home, 'app.zip'), join(cli.home, 'back.zip')];
  await writeFile(zip, zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]));
  await cli.text('s3', 'mb', 's3://cli-apps');
  await cli.text('s3', 'cp', zip, 's3://cli-apps/app.zip');
  await cli.text('s3', 'cp', 's3://cli-apps/app.zip', back);
  expect(await readFile(back)).toEqual(await readFile(zip));
  const base = 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1';
  const what = ['--name', 'cli', '--base-image-arn', base, '--build-role-arn', role, '--tags', 'team=cli'];
  const made = await call('create-microvm-image', ...what, '--code-artifact', 'uri=s3://cli-apps/app.zip');
  expect(made).toMatchObject({ name: 'cli', state: 'CREATING', imageVersion: '1.0', tags: { team: 'cli' } });
  expect(Date.parse(made.createdAt)).toBeGreaterThan(Date.now() - 600_000);
  imageArn = made.imageArn;
  const version = ['--image-identifier', imageArn, '--image-version', '1.0'];
  await until('SUCCESSFUL', 'get-microvm-image-version', ...version);
  expect((await call('list-microvm-image-builds', ...version)).items).toMatchObject([{ buildState: 'SUCCESSFUL' }]);
});

test('launch, look, token, suspend, resume, terminate', { timeout: 240_000 }, async () => {
  const idle = 'maxIdleDurationSeconds=600,suspendedDurationSeconds=600,autoResumeEnabled=true';
  const launched = await call('run-microvm', '--image-identifier', imageArn, '--idle-policy', idle);
  expect(launched).toMatchObject({ imageArn, idlePolicy: { maxIdleDurationSeconds: 600, autoResumeEnabled: true } });
  const vm = ['--microvm-identifier', launched.microvmId];
  await until('RUNNING', 'get-microvm', ...vm);
  const again = await call('run-microvm', '--image-identifier', imageArn);
  expect(again.microvmId).not.toBe(launched.microvmId);
  const all = await call('list-microvms', '--page-size', '1');
  expect(all.items.map((item: { microvmId: string }) => item.microvmId)).toEqual([again.microvmId, launched.microvmId]);
  const ports = ['--allowed-ports', 'port=8080', 'range={startPort=9000,endPort=9010}'];
  const { authToken } = await call('create-microvm-auth-token', ...vm, '--expiration-in-minutes', '5', ...ports);
  expect(Object.values(authToken)).toEqual([expect.any(String)]);
  const everyPort = ['--allowed-ports', 'allPorts={}'];
  expect(
    (await call('create-microvm-auth-token', ...vm, '--expiration-in-minutes', '5', ...everyPort)).authToken,
  ).toBeTruthy();
  await call('suspend-microvm', ...vm);
  await until('SUSPENDED', 'get-microvm', ...vm);
  await call('resume-microvm', ...vm);
  await until('RUNNING', 'get-microvm', ...vm);
  await call('terminate-microvm', ...vm);
  await until('TERMINATED', 'get-microvm', ...vm);
});

test('tags', { timeout: 60_000 }, async () => {
  const resource = ['--resource', imageArn];
  expect((await call('list-tags', ...resource)).Tags).toEqual({ team: 'cli' });
  await call('tag-resource', ...resource, '--tags', 'a=1,b=2');
  await call('untag-resource', ...resource, '--tag-keys', 'team', 'a');
  expect((await call('list-tags', ...resource)).Tags).toEqual({ b: '2' });
});

test('network connectors and their tags', { timeout: 240_000 }, async () => {
  const vpc = { SubnetIds: ['subnet-0a'], NetworkProtocol: 'IPv4', AssociatedComputeResourceTypes: ['MicroVm'] };
  const create = async (name: string) => {
    const configuration = ['--configuration', JSON.stringify({ VpcEgressConfiguration: vpc })];
    const rest = ['--operator-role', role, '--tags', 'team=cli'];
    return core('create-network-connector', '--name', name, ...configuration, ...rest);
  };
  const made = await create('office');
  expect(made).toMatchObject({ Name: 'office', State: 'PENDING', Configuration: { VpcEgressConfiguration: vpc } });
  await create('home');
  const list = (...args: string[]) => core('list-network-connectors', ...args);
  expect((await list('--max-items', '1')).NextToken).toBeTypeOf('string');
  const connector = ['--identifier', made.Arn];
  await untilState('ACTIVE', () => core('get-network-connector', ...connector));
  const found = await core('get-network-connector', ...connector);
  expect(found).toMatchObject({ Id: made.Id, Version: 1, OperatorRole: role });
  expect(Date.parse(found.LastModified)).toBeGreaterThan(Date.now() - 600_000);
  const paged = await list('--page-size', '1');
  expect(paged.NetworkConnectors.map((each: { Name: string }) => each.Name)).toEqual(['home', 'office']);
  const wider = { VpcEgressConfiguration: { ...vpc, SubnetIds: ['subnet-0a', 'subnet-0b'] } };
  const updated = await core('update-network-connector', ...connector, '--configuration', JSON.stringify(wider));
  expect(updated).toMatchObject({ Configuration: wider, LastUpdateStatus: 'InProgress' });
  const resource = ['--resource', made.Arn];
  await call('tag-resource', ...resource, '--tags', 'a=1');
  await call('untag-resource', ...resource, '--tag-keys', 'team');
  expect((await call('list-tags', ...resource)).Tags).toEqual({ a: '1' });
  await core('delete-network-connector', ...connector);
  expect((await core('list-network-connectors')).NetworkConnectors).toMatchObject([{ Name: 'home' }]);
  expect(await cli.failure('lambda-core', 'get-network-connector', '--identifier', 'nobody')).toContain(
    'An error occurred (ResourceNotFoundException) when calling the GetNetworkConnector operation: Network connector not found for: ',
  );
});

test('pages, a bound on what is listed, and a query', { timeout: 120_000 }, async () => {
  const ids = async (...args: string[]): Promise<string[]> => {
    const text = await cli.text('lambda-microvms', 'list-microvms', '--output', 'text', ...args);
    return text.trim().split(/\s+/);
  };
  const all = await ids('--query', 'items[].microvmId');
  expect(all).toHaveLength(2);
  // With --page-size 1 the tool asks once for each; --max-items stops it and gives a token to go on from.
  expect(await ids('--page-size', '1', '--query', 'items[].microvmId')).toEqual(all);
  const first = await call('list-microvms', '--max-items', '1');
  expect(first.items).toMatchObject([{ microvmId: all[0] }]);
  const rest = await call('list-microvms', '--max-items', '1', '--starting-token', first.NextToken);
  expect(rest.items).toMatchObject([{ microvmId: all[1] }]);
  expect(rest.NextToken).toBeUndefined();
  expect(await ids('--query', "items[?state=='TERMINATED'].[microvmId]")).toEqual([all[1]]);
});

test('errors have their names and words', { timeout: 120_000 }, async () => {
  expect(await failure('get-microvm', '--microvm-identifier', 'nobody')).toContain(
    'An error occurred (ResourceNotFoundException) when calling the GetMicrovm operation: Unable to find microvmIdentifier nobody',
  );
  expect(await failure('run-microvm', '--image-identifier', 'demo')).toContain('(ValidationException)');
  expect(
    await failure('run-microvm', '--image-identifier', imageArn, '--run-hook-payload', 'x'.repeat(4097)),
  ).toContain("Value at 'runHookPayload' failed to satisfy constraint");
  expect(await failure('create-microvm-image', '--name', 'x')).toContain('the following arguments are required');
  expect(await failure('list-microvms', '--region', 'eu-west-1')).toContain('(InvalidSignatureException)');
});

// The whole product on real VMs, through the AWS SDKs and HTTPS: launch, isolation, sleep, wake, tokens, and what happens when something dies.
import { readdirSync, readlinkSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { projectZip } from '../support/real-node.ts';
import { poll, startTestServer, type TestServer } from '../support/server.ts';

interface State {
  count: number;
  buffer: string;
  file: string;
  hostname: string;
}

let it: TestServer;
let imageArn = '';
beforeAll(async () => {
  it = await startTestServer();
  const built = await it.build('state', await projectZip('state'));
  expect(built).toMatchObject({ state: 'SUCCESSFUL', status: 'ACTIVE' });
  imageArn = built.imageArn;
});
afterAll(() => it?.close());

const stateOf = async (vm: { endpoint: string; token: Record<string, string> }, body?: string): Promise<State> => {
  const answer = await it.get(vm.endpoint, vm.token, '/', body);
  expect(answer.status).toBe(200);
  return JSON.parse(answer.body) as State;
};

/** The VMM of a MicroVM, found by its sockets' directory. */
async function vmmOf(id: string): Promise<number> {
  for (const pid of await readdir('/proc')) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(`/${id.slice(-12)}/qmp.sock`) && !command.startsWith('node')) return Number(pid);
  }
  throw new Error(`no VMM of ${id}`);
}

test('two MicroVMs keep their own state; one sleeps by its idle policy and wakes with it, once for many requests', async () => {
  const idlePolicy = { maxIdleDurationSeconds: 1, suspendedDurationSeconds: 600, autoResumeEnabled: true };
  const [a, b] = [await it.run(imageArn, { idlePolicy }), await it.run(imageArn)];
  const first = await stateOf(a, 'only in a');
  const other = await stateOf(b);
  expect(other.file).not.toBe(first.file);
  expect(other.hostname).not.toBe(first.hostname);
  await it.until(a.id, 'SUSPENDED');
  const woken = await Promise.all(Array.from({ length: 20 }, () => stateOf(a)));
  expect(woken.map((state) => state.count).sort((x, y) => x - y)).toEqual(
    Array.from({ length: 20 }, (_, i) => first.count + 1 + i),
  );
  for (const state of woken) expect(state).toMatchObject({ buffer: first.buffer, file: first.file });
  await it.lambda.terminateMicrovm({ microvmIdentifier: a.id });
  expect(await it.until(a.id, 'TERMINATED')).toHaveProperty('terminatedAt');
  await it.lambda.terminateMicrovm({ microvmIdentifier: b.id });
});

test('explicit suspend and resume keep everything; a token outlives the sleep', async () => {
  const vm = await it.run(imageArn);
  const before = await stateOf(vm, 'x');
  await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
  await it.until(vm.id, 'SUSPENDED');
  const asleep = await it.get(vm.endpoint, vm.token);
  expect(asleep).toMatchObject({ status: 502, body: '' });
  await it.lambda.resumeMicrovm({ microvmIdentifier: vm.id });
  await it.until(vm.id, 'RUNNING');
  expect(await stateOf(vm)).toMatchObject({ count: before.count + 1, buffer: before.buffer, file: before.file });
  await it.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
});

test('tokens open one MicroVM and the ports they name', async () => {
  const [a, b] = [await it.run(imageArn), await it.run(imageArn)];
  await stateOf(a);
  const denied = { status: 403, body: 'Request missing authentication' };
  expect(await it.get(a.endpoint, {})).toMatchObject(denied);
  expect(await it.get(a.endpoint, b.token)).toMatchObject(denied);
  const other = await it.token(a.id, 9999);
  expect(await it.get(a.endpoint, other)).toMatchObject({ status: 403, body: 'Access to port denied' });
  expect(await it.get(a.endpoint, { ...other, 'x-aws-proxy-port': '9999' })).toMatchObject({ status: 502, body: '' });
  for (const { id } of [a, b]) await it.lambda.terminateMicrovm({ microvmIdentifier: id });
});

test('a VMM killed under a request: 502 before the first byte, a broken stream after it, and a reason', async () => {
  const early = await it.run(imageArn);
  await stateOf(early);
  const waiting = it.get(early.endpoint, early.token, '/slow');
  await new Promise((resolve) => setTimeout(resolve, 500));
  process.kill(await vmmOf(early.id), 'SIGKILL');
  expect(await waiting).toMatchObject({ status: 502, body: '' });
  expect((await it.until(early.id, 'TERMINATED')).stateReason).toContain('SIGKILL');

  const late = await it.run(imageArn);
  await stateOf(late);
  const streaming = it.get(late.endpoint, late.token, '/drip');
  await new Promise((resolve) => setTimeout(resolve, 700));
  process.kill(await vmmOf(late.id), 'SIGKILL');
  await expect(streaming).rejects.toThrow(/aborted|socket hang up|ECONNRESET/);
  expect((await it.until(late.id, 'TERMINATED')).stateReason).toContain('SIGKILL');
});

test('an application that exits ends its MicroVM with its exit code', async () => {
  const vm = await it.run(imageArn);
  await stateOf(vm);
  expect(await it.get(vm.endpoint, vm.token, '/exit')).toMatchObject({ status: 502 });
  expect((await it.until(vm.id, 'TERMINATED')).stateReason).toBe('Container Stopped with Exit Code: 7');
});

test('curl and Python reach the endpoint as it was returned', async () => {
  const vm = await it.run(imageArn);
  const header = `X-aws-proxy-auth: ${vm.token['X-aws-proxy-auth']}`;
  const { caFile } = it.server;
  const curl = await run('curl', ['-sS', '--fail', '--cacert', caFile, '-H', header, `https://${vm.endpoint}/`]);
  expect(JSON.parse(curl.stdout)).toHaveProperty('count', 1);
  const program = `
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[1])
name, value = sys.argv[2].split(': ')
print(urllib.request.urlopen(urllib.request.Request(sys.argv[3], headers={name: value}), context=context).read().decode())`;
  const python = await run('python3', ['-c', program, caFile, header, `https://${vm.endpoint}/`]);
  expect(JSON.parse(python.stdout)).toHaveProperty('count', 2);
  await it.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
});

test('a server that starts again finds its MicroVMs asleep, and they wake', async () => {
  const idlePolicy = { maxIdleDurationSeconds: 600, suspendedDurationSeconds: 600, autoResumeEnabled: true };
  const vm = await it.run(imageArn, { idlePolicy });
  const before = await stateOf(vm, 'kept');
  await it.restart();
  const found = await it.lambda.getMicrovm({ microvmIdentifier: vm.id });
  expect(found.state).toBe('SUSPENDED');
  expect(await stateOf({ ...vm, endpoint: found.endpoint ?? '' })).toMatchObject({
    count: before.count + 1,
    buffer: before.buffer,
    file: before.file,
  });
  await it.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
});

/** Images in the memory of the server, which is this process. */
const loadedImages = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:wb-');
    } catch {
      return false;
    }
  }).length;

test('a deleted image leaves neither files nor memory', async () => {
  expect(loadedImages()).toBe(1);
  await it.lambda.deleteMicrovmImage({ imageIdentifier: imageArn });
  await poll('the deletion', async () => (loadedImages() === 0 ? true : undefined));
  expect(await readdir(join(it.data, 'images'))).toEqual([]);
  await expect(it.lambda.runMicrovm({ imageIdentifier: imageArn })).rejects.toMatchObject({
    name: 'ResourceNotFoundException',
  });
});

// The whole server on the fake driver: every room wired as in production, only the VM is missing.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openAuthority } from '../../src/gateway/authority.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
const open: TestServer[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
  const one = await startTestServer({ driver: 'fake', ...options });
  open.push(one);
  return one;
}

const idlePolicy = { maxIdleDurationSeconds: 1, suspendedDurationSeconds: 600, autoResumeEnabled: true };

test('build, launch, sleep by policy, wake by a request, terminate', async () => {
  const it = await start();
  const { imageArn, state } = await it.build('app', zip);
  expect(state).toBe('SUCCESSFUL');
  const vm = await it.run(imageArn, { idlePolicy });
  expect((await it.get(vm.endpoint, vm.token)).body.trim()).toBe('1');
  await it.until(vm.id, 'SUSPENDED');
  expect((await it.get(vm.endpoint, vm.token)).body.trim()).toBe('2');
  await it.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
  await it.until(vm.id, 'TERMINATED');
  expect((await it.get(vm.endpoint, vm.token)).status).toBe(502);
});

test('with a port per MicroVM the endpoint is localhost:PORT, stays over a restart and closes at the end', async () => {
  const it = await start({ endpointMode: 'port' });
  const { imageArn } = await it.build('app', zip);
  const [a, b] = [await it.run(imageArn), await it.run(imageArn)];
  expect(a.endpoint).toMatch(/^localhost:\d+$/);
  expect(b.endpoint).not.toBe(a.endpoint);
  expect((await it.get(a.endpoint, a.token)).status).toBe(200);
  expect((await it.get(a.endpoint, b.token)).status).toBe(403);
  await it.restart();
  expect((await it.lambda.getMicrovm({ microvmIdentifier: a.id })).endpoint).toBe(a.endpoint);
  expect((await it.get(a.endpoint, a.token)).body.trim()).toBe('2');
  await it.lambda.terminateMicrovm({ microvmIdentifier: a.id });
  await it.until(a.id, 'TERMINATED');
  await expect(it.get(a.endpoint, a.token)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

test('hooks: a failing /run ends the launch with a reason, a failing /ready the build', async () => {
  const it = await start();
  const microvmHooks = { run: 'ENABLED', runTimeoutInSeconds: 5 } as const;
  const microvmImageHooks = { ready: 'ENABLED', readyTimeoutInSeconds: 5 } as const;
  const hooks = { port: 8080, microvmHooks, microvmImageHooks };
  const bad = await it.build('bad-run', zip, { hooks, environmentVariables: { FAKE_RUN_STATUS: '500' } });
  const vm = await it.run(bad.imageArn);
  expect((await it.until(vm.id, 'TERMINATED')).stateReason).toContain('Run lifecycle hook returned HTTP status 500');
  const never = await it.build('bad-ready', zip, { hooks, environmentVariables: { FAKE_READY_STATUS: '500' } });
  expect(never).toMatchObject({
    state: 'FAILED',
    reason: expect.stringContaining('Ready hook check failed: server error (HTTP 500)'),
  });
});

test('a second server on the same data directory is refused while the first runs', async () => {
  const it = await start();
  await expect(startTestServer({ driver: 'fake', dataDirectory: it.data })).rejects.toMatchObject({ code: 'conflict' });
});

test('a data directory made by nobody is made', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'waterbear-made-'));
  const it = await start({ dataDirectory: join(parent, 'deep', 'data') });
  expect(it.server.apiUrl).toMatch(/^http:/);
  await it.close();
  open.splice(0);
  await rm(parent, { recursive: true });
});

test('the endpoint answers on both loopback addresses', async () => {
  const it = await start();
  for (const host of ['127.0.0.1', '::1']) {
    const socket = connect(it.server.gatewayPort, host);
    await once(socket, 'connect');
    socket.destroy();
  }
});

test("the operator's own certificate and suffix are used", async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-tls-'));
  try {
    await openAuthority({ directory, suffix: 'boxes.localhost', loopback: false, clock: systemClock });
    const file = (name: string): string => join(directory, name);
    const tls = { tlsKeyFile: file('server.key'), tlsCertFile: file('server.crt'), tlsCaFile: file('ca.crt') };
    const it = await start({ ...tls, endpointSuffix: 'boxes.localhost' });
    const { imageArn } = await it.build('app', zip);
    const vm = await it.run(imageArn);
    expect(vm.endpoint).toMatch(/\.boxes\.localhost:\d+$/);
    expect((await it.get(vm.endpoint, vm.token)).status).toBe(200);
    await expect(start({ tlsKeyFile: tls.tlsKeyFile })).rejects.toThrow('tlsCertFile and tlsKeyFile go together');
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('two threads, one sleeping MicroVM, 200 requests at once: one wake', async () => {
  const it = await start({ gatewayThreads: 2 });
  const microvmImageHooks = { ready: 'ENABLED', readyTimeoutInSeconds: 5 } as const;
  const microvmHooks = { resume: 'ENABLED', resumeTimeoutInSeconds: 5 } as const;
  const { imageArn } = await it.build('app', zip, { hooks: { port: 8080, microvmImageHooks, microvmHooks } });
  const vm = await it.run(imageArn, { idlePolicy: { ...idlePolicy, maxIdleDurationSeconds: 60 } });
  await it.until(vm.id, 'RUNNING');
  await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
  await it.until(vm.id, 'SUSPENDED');
  const answers = await Promise.all(Array.from({ length: 200 }, () => it.get(vm.endpoint, vm.token)));
  expect(new Set(answers.map(({ body }) => Number(body)))).toEqual(new Set(answers.map((_, i) => i + 1)));
  const called: { name: string }[] = JSON.parse((await it.get(vm.endpoint, vm.token, '/hooks')).body);
  expect(called.filter(({ name }) => name === 'resume')).toHaveLength(1);
});

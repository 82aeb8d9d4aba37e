// The way down and up again, on the fake driver: what is under way is answered, what comes too late is told when to ask again, what runs may run on.
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
const open: TestServer[] = [];
const places: string[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
  for (const place of places.splice(0)) await rm(place, { recursive: true, force: true });
});

async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
  const one = await startTestServer({ driver: 'fake', ...options });
  open.push(one);
  return one;
}

const idlePolicy = { maxIdleDurationSeconds: 600, suspendedDurationSeconds: 600, autoResumeEnabled: true };

test('a request under way is answered before its MicroVM sleeps; one that would have to wake another is told to come later', async () => {
  const it = await start();
  const { imageArn } = await it.build('app', zip);
  const [busy, asleep] = [await it.run(imageArn, { idlePolicy }), await it.run(imageArn, { idlePolicy })];
  for (const vm of [busy, asleep]) expect((await it.get(vm.endpoint, vm.token)).status).toBe(200);
  await it.lambda.suspendMicrovm({ microvmIdentifier: asleep.id });
  await it.until(asleep.id, 'SUSPENDED');
  const underWay = it.get(busy.endpoint, busy.token, '/slow?ms=700');
  await new Promise((resolve) => setTimeout(resolve, 100));
  const stopped = it.restart();
  await new Promise((resolve) => setTimeout(resolve, 100));
  const late = await it.get(asleep.endpoint, asleep.token);
  expect(late).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
  expect(await underWay).toMatchObject({ status: 200, body: 'slow\n' });
  await stopped;
  const { endpoint = '', state } = await it.lambda.getMicrovm({ microvmIdentifier: busy.id });
  expect(state).toBe('SUSPENDED');
  expect((await it.get(endpoint, busy.token)).body.trim()).toBe('2');
});

test('a start that comes to the data directory by another name takes over what runs', async () => {
  const place = await mkdtemp(join(tmpdir(), 'waterbear-named-'));
  places.push(place);
  const options = { dataDirectory: join(place, 'data'), keepVms: true };
  const first = await start(options);
  const { imageArn } = await first.build('app', zip);
  const vm = await first.run(imageArn);
  expect((await first.get(vm.endpoint, vm.token)).body.trim()).toBe('1');
  await first.server.close();
  await symlink(options.dataDirectory, join(place, 'alias'));
  const second = await start({ ...options, dataDirectory: join(place, 'alias'), existing: true });
  const { endpoint = '', state } = await second.lambda.getMicrovm({ microvmIdentifier: vm.id });
  expect(state).toBe('RUNNING');
  expect((await second.get(endpoint, vm.token)).body.trim()).toBe('2');
  await second.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
  await second.until(vm.id, 'TERMINATED');
});

test('with keepVms a MicroVM runs on over a restart, and what slept sleeps', async () => {
  const it = await start({ keepVms: true });
  const { imageArn } = await it.build('app', zip);
  const [awake, asleep] = [await it.run(imageArn), await it.run(imageArn)];
  for (const vm of [awake, asleep]) expect((await it.get(vm.endpoint, vm.token)).body.trim()).toBe('1');
  await it.lambda.suspendMicrovm({ microvmIdentifier: asleep.id });
  await it.until(asleep.id, 'SUSPENDED');
  const before = await it.lambda.getMicrovm({ microvmIdentifier: awake.id });
  await it.restart();
  const after = await it.lambda.getMicrovm({ microvmIdentifier: awake.id });
  expect(after).toMatchObject({ state: 'RUNNING', startedAt: before.startedAt });
  expect((await it.get(after.endpoint ?? '', awake.token)).body.trim()).toBe('2');
  expect((await it.lambda.getMicrovm({ microvmIdentifier: asleep.id })).state).toBe('SUSPENDED');
  for (const { id } of [awake, asleep]) await it.lambda.terminateMicrovm({ microvmIdentifier: id });
  for (const { id } of [awake, asleep]) await it.until(id, 'TERMINATED');
});

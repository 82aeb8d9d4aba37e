import { expect, test } from 'vitest';
import { changeMicrovm } from '../store/microvms.ts';
import { listUsage } from '../store/usage.ts';
import { createMicrovmImage } from './operations/create-microvm-image.ts';
import { getMicrovmImage } from './operations/get-microvm-image.ts';
import { listMicrovmImageBuilds } from './operations/list-microvm-image-builds.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { caller, demoArn, imageRequest, testApp } from './testing/test-app.ts';

test('after suspendAll the next server finds everything asleep, and requests wake it even without a policy', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  await t.app.suspendAll(1000);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'aborted' });
  await expect(runMicrovm(t.app.context, caller, { imageIdentifier: demoArn })).rejects.toMatchObject({
    code: 'capacity_exhausted',
  });
  const next = t.restart();
  await next.start();
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  await next.endpoints.awake(microvmId);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test('suspendAll lets a launch come to rest first, and gives up at its deadline', async () => {
  await using t = await testApp();
  await t.launch();
  const gate = Promise.withResolvers<void>();
  t.node.gates.launch = gate.promise;
  const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
  await t.app.suspendAll(20);
  expect((await t.get(microvmId)).state).toBe('PENDING');
  gate.resolve();
  await t.app.suspendAll(5000);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
});

test('what the host lost has ended and its usage is closed', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  t.node.vms.clear();
  await t.restart().start();
  expect(await t.get(microvmId)).toMatchObject({
    state: 'TERMINATED',
    stateReason: expect.stringContaining('host process restarted'),
  });
  expect((await listUsage(t.store.db, microvmId)).filter(({ endMs }) => endMs === null)).toEqual([]);
});

test.each(['RUNNING', 'SUSPENDING'] as const)('a row that says %s while the host has it asleep', async (state) => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const row = t.app.context.index.get(microvmId)?.row;
  if (!row) throw new Error('not in the index');
  await changeMicrovm(t.store.db, row, { state }, t.clock.now());
  await t.node.suspend(microvmId);
  const next = t.restart();
  await next.start();
  expect(await t.get(microvmId)).toMatchObject({
    state: 'SUSPENDED',
    stateReason: expect.stringContaining('last snapshot'),
  });
  await next.endpoints.awake(microvmId);
});

test('a row that says SUSPENDING while the host runs it is RUNNING again', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const row = t.app.context.index.get(microvmId)?.row;
  if (!row) throw new Error('not in the index');
  await changeMicrovm(t.store.db, row, { state: 'SUSPENDING', wish: 'SUSPENDED' }, t.clock.now());
  const next = t.restart();
  await next.start();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test('an interrupted termination is finished', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const row = t.app.context.index.get(microvmId)?.row;
  if (!row) throw new Error('not in the index');
  await changeMicrovm(t.store.db, row, { state: 'TERMINATING', wish: 'TERMINATED' }, t.clock.now());
  await t.restart().start();
  await t.settle();
  await t.clock.advance(0);
  expect((await t.get(microvmId)).state).toBe('TERMINATED');
  expect(t.node.list()).toEqual([]);
});

test('a build that was under way has failed', async () => {
  await using t = await testApp();
  const gate = Promise.withResolvers<void>();
  t.node.gates.build = gate.promise;
  await createMicrovmImage(t.app.context, caller, imageRequest);
  const next = t.restart();
  await next.start();
  const image = { imageIdentifier: demoArn, imageVersion: '1.0' };
  expect((await getMicrovmImage(next.context, caller, image)).state).toBe('CREATE_FAILED');
  const { items } = await listMicrovmImageBuilds(next.context, caller, image);
  expect(items[0]?.stateReason).toMatch(/^INTERNAL_PLATFORM_ERROR: The host process restarted/);
  gate.resolve();
  await t.settle();
});

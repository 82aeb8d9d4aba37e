import { expect, test, vi } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { listOpenBuilds } from '../store/builds.ts';
import { changeMicrovm, findMicrovm } from '../store/microvms.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { listUsage } from '../store/usage.ts';
import { createTasks } from '../tasks/create-tasks.ts';
import type { App } from './create-app.ts';
import { createMicrovmImage } from './operations/create-microvm-image.ts';
import { getMicrovmImage } from './operations/get-microvm-image.ts';
import { listMicrovmImageBuilds } from './operations/list-microvm-image-builds.ts';
import { resumeMicrovm } from './operations/resume-microvm.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { caller, demoArn, imageRequest, type TestApp, testApp } from './testing/test-app.ts';

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

const rowOf = (t: TestApp, microvmId: string): MicrovmRow => {
  const row = t.app.context.index.get(microvmId)?.row;
  if (!row) throw new Error('not in the index');
  return row;
};

/** The next server, when it has found out what became of everything. */
async function recovered(t: TestApp): Promise<App> {
  const next = t.restart();
  await next.start();
  for (const vm of next.context.index.all()) await vm.worker;
  return next;
}

async function sleepOnce(t: TestApp, microvmId: string): Promise<void> {
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  await resumeMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
}

test('what the host lost has ended and its usage is closed', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  t.node.vms.clear();
  await recovered(t);
  expect(await t.get(microvmId)).toMatchObject({
    state: 'TERMINATED',
    stateReason: expect.stringMatching(/does not run it any more.*no snapshot/),
  });
  expect((await listUsage(t.store.db, microvmId)).filter(({ endMs }) => endMs === null)).toEqual([]);
});

test.each(['RUNNING', 'SUSPENDING'] as const)('a row that says %s, and a sleep that was committed', async (state) => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const change = { state, suspendCause: 'shutdown' } as const;
  await changeMicrovm(t.store.db, rowOf(t, microvmId), change, t.clock.now());
  await t.node.suspend(microvmId);
  const next = await recovered(t);
  expect(await t.get(microvmId)).toMatchObject({ state: 'SUSPENDED', stateReason: undefined });
  await next.endpoints.awake(microvmId);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test.each(['RUNNING', 'SUSPENDING'] as const)(
  'a row that says %s, and only the snapshot before is left',
  async (state) => {
    const why = 'Its virtual machine monitor died.';
    for (const lostVms of ['end', 'restore'] as const) {
      await using t = await testApp({}, lostVms);
      const { microvmId } = await t.launch();
      const savedAt = new Date(t.clock.now()).toISOString();
      await sleepOnce(t, microvmId);
      await t.clock.advance(60_000);
      await changeMicrovm(t.store.db, rowOf(t, microvmId), { state }, t.clock.now());
      const host = t.node.vms.get(microvmId);
      if (host) host.state = 'asleep';
      t.node.recovering.set(microvmId, Promise.resolve(why));
      const next = await recovered(t);
      const found = await t.get(microvmId);
      expect(found.stateReason).toContain(`${why} `);
      expect(found.stateReason).toContain(savedAt);
      const kinds = (await listUsage(t.store.db, microvmId)).map(({ kind }) => kind);
      expect(kinds).toEqual(['running', 'suspended', 'running', ...(lostVms === 'end' ? [] : ['suspended'])]);
      if (lostVms === 'end') {
        expect(found.state).toBe('TERMINATED');
        expect(t.node.list()).toEqual([]);
      } else {
        expect(found).toMatchObject({ state: 'SUSPENDED', stateReason: expect.stringContaining('is lost') });
        await next.endpoints.awake(microvmId);
        expect(await t.get(microvmId)).toMatchObject({ state: 'RUNNING', stateReason: found.stateReason });
      }
    }
  },
);

test.each([
  ['requested', 'SUSPENDED'],
  ['shutdown', 'RUNNING'],
] as const)('a suspend (%s) that was cut off while the host runs it leads to %s', async (suspendCause, state) => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const change = { state: 'SUSPENDING', wish: 'SUSPENDED', suspendCause } as const;
  await changeMicrovm(t.store.db, rowOf(t, microvmId), change, t.clock.now());
  const next = await recovered(t);
  expect((await t.get(microvmId)).state).toBe(state);
  await next.endpoints.awake(microvmId).catch(() => {});
});

test('a launch that was never seen to run is done again, one that does run is not', async () => {
  await using t = await testApp();
  await t.launch();
  for (const runs of [false, true]) {
    const gate = Promise.withResolvers<void>();
    t.node.gates.launch = gate.promise;
    const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
    const vm = { microvmId, buildId: 'b', state: 'running', snapshot: 0, generation: 1 } as const;
    if (runs) t.node.vms.set(microvmId, vm);
    const next = t.restart();
    delete t.node.gates.launch;
    const calls = t.node.calls.length;
    await next.start();
    await next.endpoints.awake(microvmId);
    expect((await t.get(microvmId)).state).toBe('RUNNING');
    expect(t.node.calls.slice(calls).filter((call) => call.startsWith('launch'))).toHaveLength(runs ? 0 : 1);
    gate.resolve();
    await t.settle();
  }
});

test('while it is recovering all can be asked; requests and acts wait, and go on when its fate is known', async () => {
  await using t = await testApp();
  const [one, other] = [await t.launch(), await t.launch({ clientToken: 'other' })];
  const fate = Promise.withResolvers<undefined>();
  t.node.recovering.set(one.microvmId, fate.promise);
  const next = t.restart();
  await next.start();
  // The others do not wait for it.
  await next.endpoints.awake(other.microvmId);
  expect((await t.get(one.microvmId)).state).toBe('RUNNING');
  expect(next.context.index.get(one.microvmId)?.signs.runs).toBe(false);
  const request = next.endpoints.awake(one.microvmId);
  await suspendMicrovm(next.context, caller, { microvmIdentifier: one.microvmId });
  await t.clock.advance(60_000);
  expect(t.node.calls.filter((call) => call === `suspend ${one.microvmId}`)).toEqual([]);
  fate.resolve(undefined);
  await request.catch(() => {});
  await t.settle();
  expect((await t.get(one.microvmId)).state).toBe('SUSPENDED');
});

test('a recovering one is never idle, and is awake for requests once it was taken over', async () => {
  await using t = await testApp();
  const idlePolicy = { maxIdleDurationSeconds: 60, suspendedDurationSeconds: 600, autoResumeEnabled: true };
  const { microvmId } = await t.launch({ idlePolicy });
  const fate = Promise.withResolvers<undefined>();
  t.node.recovering.set(microvmId, fate.promise);
  const next = t.restart();
  await next.start();
  await t.clock.advance(120_000);
  const tasks = createTasks(next, t.clock);
  await tasks.runOnce();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  fate.resolve(undefined);
  await next.endpoints.awake(microvmId);
  expect(next.context.index.get(microvmId)?.signs.runs).toBe(true);
  await tasks.runOnce();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test('a row that is older than what its host has seen is raised, so that its orders are not stale', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const host = t.node.vms.get(microvmId);
  if (host) host.generation = 40;
  const next = await recovered(t);
  expect(next.context.index.get(microvmId)?.row.generation).toBe(41);
  expect((await findMicrovm(t.store.db, microvmId))?.generation).toBe(41);
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

test('a build that was under way is built again, and given up after three attempts', async () => {
  await using t = await testApp();
  const gate = Promise.withResolvers<void>();
  t.node.gates.build = gate.promise;
  await createMicrovmImage(t.app.context, caller, imageRequest);
  const image = { imageIdentifier: demoArn, imageVersion: '1.0' };
  for (let attempt = 1; attempt <= 3; attempt++) {
    await vi.waitFor(() => expect(t.node.calls).toHaveLength(attempt), 10_000);
    expect((await listOpenBuilds(t.store.db))[0]).toMatchObject({ attempts: attempt, state: 'IN_PROGRESS' });
    await t.restart().start();
  }
  await t.settle();
  expect((await getMicrovmImage(t.app.context, caller, image)).state).toBe('CREATE_FAILED');
  const { items } = await listMicrovmImageBuilds(t.app.context, caller, image);
  expect(items[0]?.stateReason).toMatch(/^INTERNAL_PLATFORM_ERROR: The server ended 3 times during this build/);
  gate.resolve();
});

test('a stop in order costs a build no attempt', async () => {
  await using t = await testApp();
  t.node.failures.build = [new Fault('aborted', { what: 'The build' })];
  const gate = Promise.withResolvers<void>();
  t.node.gates.build = gate.promise;
  await createMicrovmImage(t.app.context, caller, imageRequest);
  await vi.waitFor(() => expect(t.node.calls).toHaveLength(1));
  const closed = t.app.close();
  gate.resolve();
  await closed;
  const [row] = await t.store.db.selectFrom('builds').selectAll().execute();
  expect(row).toMatchObject({ state: 'IN_PROGRESS', attempts: 0 });
  await t.restart().start();
  await t.settle();
  expect((await getMicrovmImage(t.app.context, caller, { imageIdentifier: demoArn })).state).toBe('CREATED');
});

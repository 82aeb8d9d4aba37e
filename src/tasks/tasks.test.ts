import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { resumeMicrovm } from '../app/operations/resume-microvm.ts';
import { runMicrovm } from '../app/operations/run-microvm.ts';
import { suspendMicrovm } from '../app/operations/suspend-microvm.ts';
import { terminateMicrovm } from '../app/operations/terminate-microvm.ts';
import { caller, demoArn, type TestApp, testApp } from '../app/testing/test-app.ts';
import { createTasks } from './create-tasks.ts';

const idlePolicy = { maxIdleDurationSeconds: 2, suspendedDurationSeconds: 5, autoResumeEnabled: true };

async function running(t: TestApp) {
  const tasks = createTasks(t.app, t.clock);
  tasks.start();
  return { [Symbol.asyncDispose]: () => tasks.stop(), status: tasks.status };
}

test('an untouched MicroVM falls asleep after its idle limit and ends after its suspended duration', async () => {
  await using t = await testApp();
  await using _ = await running(t);
  const { microvmId } = await t.launch({ idlePolicy });
  await t.clock.advance(1900);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  await t.clock.advance(350);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  await t.clock.advance(4500);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  await t.clock.advance(750);
  expect(await t.get(microvmId)).toMatchObject({
    state: 'TERMINATED',
    stateReason: 'Suspended for 5 s (suspendedDurationSeconds).',
  });
});

test('bytes and open requests keep it awake; in profile aws an open request alone does not', async () => {
  for (const requests of [true, false]) {
    await using t = await testApp({ idleSignals: { requests, lease: false } });
    await using _ = await running(t);
    const { microvmId } = await t.launch({ idlePolicy });
    const request = t.begin(microvmId);
    for (let second = 0; second < 5; second++) {
      await t.clock.advance(1000);
      request.touch();
    }
    expect((await t.get(microvmId)).state).toBe('RUNNING');
    await t.clock.advance(2500);
    expect((await t.get(microvmId)).state).toBe(requests ? 'RUNNING' : 'SUSPENDED');
    request.end();
    request.end();
    await t.clock.advance(2500);
    expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  }
});

test('with a suspended duration of 0 it ends instead of falling asleep', async () => {
  await using t = await testApp();
  await using _ = await running(t);
  const { microvmId } = await t.launch({ idlePolicy: { ...idlePolicy, suspendedDurationSeconds: 0 } });
  await t.clock.advance(2500);
  expect(await t.get(microvmId)).toMatchObject({
    state: 'TERMINATED',
    stateReason: expect.stringContaining('Idle for 2 s'),
  });
  // The host calls `/terminate` of what still runs.
  expect(t.node.calls.filter((call) => /suspend|terminate/.test(call))).toEqual([`terminate ${microvmId}`]);
});

test('without an idle policy nothing suspends it, and one that was suspended by hand stays', async () => {
  await using t = await testApp();
  await using _ = await running(t);
  const { microvmId } = await t.launch();
  await t.clock.advance(3_600_000);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.clock.advance(3_600_000);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
});

test('the maximum duration counts suspended time and ends a busy MicroVM too', async () => {
  await using t = await testApp();
  await using _ = await running(t);
  const busy = await t.launch({ maximumDurationInSeconds: 20 });
  const asleep = await t.launch({ maximumDurationInSeconds: 20 });
  t.begin(busy.microvmId);
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: asleep.microvmId });
  await t.clock.advance(19_900);
  expect([(await t.get(busy.microvmId)).state, (await t.get(asleep.microvmId)).state]).toEqual([
    'RUNNING',
    'SUSPENDED',
  ]);
  await t.clock.advance(350);
  for (const { microvmId } of [busy, asleep]) {
    expect(await t.get(microvmId)).toMatchObject({
      state: 'TERMINATED',
      stateReason: 'Reached its maximum duration of 20 s.',
    });
  }
});

test('a sleep by shutdown counts its idle time anew from the start of the next server', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch({ idlePolicy });
  await t.app.suspendAll(1000);
  await t.clock.advance(100_000);
  const next = t.restart();
  await next.start();
  const tasks = createTasks(next, t.clock);
  await t.clock.advance(6900);
  await tasks.runOnce();
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  await t.clock.advance(100);
  await tasks.runOnce();
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('TERMINATED');
});

test('a termination that failed is taken up again after its pause', async () => {
  await using t = await testApp();
  await using _ = await running(t);
  const { microvmId } = await t.launch();
  t.node.failures.terminate = [new Error('stuck')];
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.clock.advance(4900);
  expect((await t.get(microvmId)).state).toBe('TERMINATING');
  await t.clock.advance(500);
  expect((await t.get(microvmId)).state).toBe('TERMINATED');
});

test('a resumed MicroVM has its whole idle time before it, and one request that ends twice does not end another', async () => {
  await using t = await testApp();
  await using _ = await running(t);
  const { microvmId } = await t.launch({ idlePolicy: { ...idlePolicy, suspendedDurationSeconds: 600 } });
  await t.clock.advance(100_000);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  await resumeMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.clock.advance(1750);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  const [first, second] = [t.begin(microvmId), t.begin(microvmId)];
  first.end();
  first.end();
  await t.clock.advance(10_000);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  second.end();
});

test('an act that could not be recorded is taken up again, and not done twice', async () => {
  await using t = await testApp();
  await using _ = await running(t);
  await t.launch();
  await sql`create trigger full before update on microvms begin select raise(abort, 'disk full'); end`.execute(
    t.store.db,
  );
  const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
  await t.clock.advance(500);
  expect((await t.get(microvmId)).state).toBe('PENDING');
  await sql`drop trigger full`.execute(t.store.db);
  await t.clock.advance(1500);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  expect(t.node.launches.filter((launch) => launch.microvmId === microvmId)).toHaveLength(1);
});

test('a failing task says so in its status and the others go on', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch({ idlePolicy });
  await using tasks = await running(t);
  const { index } = t.app.context;
  const all = index.all.bind(index);
  index.all = () => {
    index.all = all;
    throw new Error('broken');
  };
  await t.clock.advance(250);
  expect(tasks.status().map(({ runs, lastError }) => [runs, lastError])).toEqual([
    [1, 'broken'],
    ...[1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => [1, undefined]),
  ]);
  await t.clock.advance(2250);
  expect(tasks.status()[0]?.lastError).toBeUndefined();
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
});

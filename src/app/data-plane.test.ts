import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { suspendIdle } from './idle.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { terminateMicrovm } from './operations/terminate-microvm.ts';
import { caller, demoArn, type TestApp, testApp } from './testing/test-app.ts';

const idlePolicy = { maxIdleDurationSeconds: 10, suspendedDurationSeconds: 60, autoResumeEnabled: true };
const never = new AbortController().signal;

async function asleep(t: TestApp, policy: typeof idlePolicy | undefined = idlePolicy): Promise<string> {
  const { microvmId } = await t.launch({ idlePolicy: policy });
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  return microvmId;
}

const liveOf = (t: TestApp, microvmId: string) => {
  const vm = t.app.context.index.get(microvmId);
  if (!vm) throw new Error('not in the index');
  return vm;
};

test('hosts are found in memory, unknown ones are not', async () => {
  await using t = await testApp();
  const { microvmId, endpoint } = await t.launch({ idlePolicy });
  expect(t.app.dataPlane.find(endpoint)).toEqual({ microvmId, host: endpoint, state: 'RUNNING', autoResume: true });
  expect(endpoint).toMatch(/^[0-9a-f-]{36}\.vm\.localhost$/);
  expect(microvmId).not.toContain(endpoint.slice(0, 36));
  expect(t.app.dataPlane.find('nobody.vm.localhost')).toBeUndefined();
  const known: unknown[] = [];
  t.app.dataPlane.onLeave((id) => known.push(t.app.context.index.get(id)?.row.state));
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect(t.app.dataPlane.find(endpoint)?.state).toBe('TERMINATED');
  // Once before the end, once when it is over and its resources may be given back.
  expect(known).toEqual(['TERMINATING', undefined]);
});

test('however many requests wait, there is one wake', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t);
  await Promise.all(Array.from({ length: 20 }, () => t.app.dataPlane.awake(microvmId, never)));
  expect(t.node.calls.filter((call) => call.startsWith('resume'))).toHaveLength(1);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test('a wake that fails rejects every request with its reason; the next request tries again', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t);
  t.node.failures.resume = [new Fault('snapshot_corrupt', { file: 'delta', why: 'checksum' })];
  const results = await Promise.allSettled([1, 2].map(() => t.app.dataPlane.awake(microvmId, never)));
  for (const result of results) expect(result).toMatchObject({ reason: { code: 'snapshot_corrupt' } });
  await t.app.dataPlane.awake(microvmId, never);
  expect((await t.get(microvmId)).stateReason).toBeUndefined();
});

test('without autoResume, and after the end, requests are refused', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t, { ...idlePolicy, autoResumeEnabled: false });
  await expect(t.app.dataPlane.awake(microvmId, never)).rejects.toMatchObject({ code: 'conflict' });
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await expect(t.app.dataPlane.awake(microvmId, never)).rejects.toMatchObject({ code: 'conflict' });
  await t.settle();
  await expect(t.app.dataPlane.awake(microvmId, never)).rejects.toMatchObject({ code: 'conflict' });
});

test('a PENDING MicroVM is waited for in profile open and refused in profile aws', async () => {
  for (const holdWhilePending of [true, false]) {
    await using t = await testApp({ holdWhilePending });
    await t.launch();
    const gate = Promise.withResolvers<void>();
    t.node.gates.launch = gate.promise;
    const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
    const wait = t.app.dataPlane.awake(microvmId, never)?.then(
      () => 'runs',
      (error: { code: string }) => error.code,
    );
    await t.clock.advance(0);
    gate.resolve();
    expect(await wait).toBe(holdWhilePending ? 'runs' : 'conflict');
  }
});

test('a request during a suspend waits for its end and then wakes it', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch({ idlePolicy });
  const gate = Promise.withResolvers<void>();
  t.node.gates.suspend = gate.promise;
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  const wait = t.app.dataPlane.awake(microvmId, never);
  await t.clock.advance(0);
  gate.resolve();
  await wait;
  expect(t.node.calls.slice(-2)).toEqual([`suspend ${microvmId}`, `resume ${microvmId}`]);
});

test('a wait ends at its deadline and when it is aborted, the wake goes on', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t);
  const gate = Promise.withResolvers<void>();
  t.node.gates.resume = gate.promise;
  const abort = new AbortController();
  const waits = Promise.allSettled([
    t.app.dataPlane.awake(microvmId, never),
    t.app.dataPlane.awake(microvmId, abort.signal),
  ]);
  abort.abort();
  await t.clock.advance(60_000);
  expect(await waits).toMatchObject([{ reason: { code: 'deadline_exceeded' } }, { reason: { code: 'aborted' } }]);
  gate.resolve();
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test('a request that arrives while the idle policy writes its decision is not lost', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch({ idlePolicy });
  await t.clock.advance(10_000);
  const deciding = suspendIdle(t.app.context, liveOf(t, microvmId));
  const activity = t.app.dataPlane.begin(microvmId);
  await t.app.dataPlane.awake(microvmId, never);
  await deciding;
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  expect(t.node.calls.some((call) => call.startsWith('suspend'))).toBe(false);
  activity.end();
});

test('a wake that cannot be recorded rejects at once instead of spinning', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t);
  await sql`create trigger full before update of state on microvms begin select raise(abort, 'disk full'); end`.execute(
    t.store.db,
  );
  await expect(t.app.dataPlane.awake(microvmId, never)).rejects.toMatchObject({ code: 'internal' });
  await expect(t.app.dataPlane.awake(microvmId, never)).rejects.toMatchObject({ code: 'internal' });
  await sql`drop trigger full`.execute(t.store.db);
  await t.clock.advance(1000);
  await t.app.dataPlane.awake(microvmId, never);
  expect(t.node.calls.filter((call) => call.startsWith('resume'))).toHaveLength(1);
});

test('an endpoint opened for a MicroVM that was not written down is given back', async () => {
  await using t = await testApp();
  await t.launch();
  const opened: string[] = [];
  const left: string[] = [];
  Object.assign(t.app.context, { openEndpoint: async (id: string) => void opened.push(id) });
  t.app.dataPlane.onLeave((id) => left.push(id));
  const run = () => runMicrovm(t.app.context, caller, { imageIdentifier: demoArn, clientToken: 'same' });
  const [first, second] = await Promise.all([run(), run()]);
  expect(second.microvmId).toBe(first.microvmId);
  expect(opened).toHaveLength(2);
  expect(left).toEqual(opened.filter((id) => id !== first.microvmId));
  t.app.context.draining = true;
  await expect(runMicrovm(t.app.context, caller, { imageIdentifier: demoArn })).rejects.toMatchObject({
    code: 'capacity_exhausted',
  });
  expect(left.at(-1)).toBe(opened.at(-1));
});

test('connections are dropped before the suspend begins', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const seen: string[] = [];
  t.app.dataPlane.onLeave(() => seen.push(t.node.calls.at(-1) ?? ''));
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect(seen).toEqual([`launch ${microvmId}`]);
});

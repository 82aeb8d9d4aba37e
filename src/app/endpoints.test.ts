import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import type { EndpointEvent } from '../contract/data-plane.ts';
import { Fault } from '../lib/errors.ts';
import { suspendIdle } from './idle.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { terminateMicrovm } from './operations/terminate-microvm.ts';
import { caller, demoArn, type TestApp, testApp } from './testing/test-app.ts';

const idlePolicy = { maxIdleDurationSeconds: 10, suspendedDurationSeconds: 60, autoResumeEnabled: true };

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

test('what the gateway hears: a new endpoint, its waking times, its end', async () => {
  await using t = await testApp();
  const events: EndpointEvent[] = [];
  t.app.endpoints.watch((event) => events.push(event));
  const { microvmId, endpoint } = await t.launch({ idlePolicy });
  expect(endpoint).toMatch(/^[0-9a-f-]{36}\.vm\.localhost$/);
  expect(microvmId).not.toContain(endpoint?.slice(0, 36));
  const { signs } = liveOf(t, microvmId);
  const relay = { host: '127.0.0.1', port: 1 };
  const owner = { account: caller.account, imageArn: demoArn };
  const facts = { microvmId, host: endpoint, signs: signs.buffer, owner };
  expect(t.app.endpoints.endpoints()).toEqual([{ ...facts, waking: { number: 1, relay } }]);
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect([signs.runs, signs.wakingTime]).toEqual([false, 0]);
  await t.app.endpoints.awake(microvmId);
  expect([signs.runs, signs.wakingTime]).toEqual([true, 2]);
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect(events).toEqual([
    { kind: 'known', endpoint: facts },
    { kind: 'woke', microvmId, waking: { number: 1, relay } },
    { kind: 'left', microvmId },
    { kind: 'woke', microvmId, waking: { number: 2, relay } },
    { kind: 'left', microvmId },
  ]);
  // Its host is not unknown at once.
  expect(t.app.endpoints.endpoints()).toEqual([facts]);
});

test('an endpoint is known before anybody hears of its MicroVM', async () => {
  await using t = await testApp();
  await t.launch();
  let known = false;
  t.app.endpoints.watch(({ kind }) => {
    known ||= kind === 'known';
  });
  await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
  expect(known).toBe(true);
});

test('a MicroVM that ends by itself is left before its end is recorded, and is not woken meanwhile', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const { signs } = liveOf(t, microvmId);
  t.node.end(microvmId, { cause: 'vmm_died', what: 'It died.' });
  expect([signs.runs, signs.wakingTime, (await t.get(microvmId)).state]).toEqual([false, 0, 'RUNNING']);
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'conflict' });
});

test('however many requests wait, there is one wake', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t);
  await Promise.all(Array.from({ length: 20 }, () => t.app.endpoints.awake(microvmId)));
  expect(t.node.calls.filter((call) => call.startsWith('resume'))).toHaveLength(1);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test('a wake that fails rejects every request with its reason; the next request tries again', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t);
  t.node.failures.resume = [new Fault('snapshot_corrupt', { file: 'delta', why: 'checksum' })];
  const results = await Promise.allSettled([1, 2].map(() => t.app.endpoints.awake(microvmId)));
  for (const result of results) expect(result).toMatchObject({ reason: { code: 'snapshot_corrupt' } });
  await t.app.endpoints.awake(microvmId);
  expect((await t.get(microvmId)).stateReason).toBeUndefined();
});

test('without autoResume, and after the end, requests are refused', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t, { ...idlePolicy, autoResumeEnabled: false });
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'conflict' });
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'conflict' });
  await t.settle();
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'conflict' });
});

test('a PENDING MicroVM is waited for in profile open and refused in profile aws', async () => {
  for (const holdWhilePending of [true, false]) {
    await using t = await testApp({ holdWhilePending });
    await t.launch();
    const gate = Promise.withResolvers<void>();
    t.node.gates.launch = gate.promise;
    const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
    const wait = t.app.endpoints.awake(microvmId).then(
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
  const wait = t.app.endpoints.awake(microvmId);
  await t.clock.advance(0);
  gate.resolve();
  await wait;
  expect(t.node.calls.slice(-2)).toEqual([`suspend ${microvmId}`, `resume ${microvmId}`]);
});

test('a request that arrives while the idle policy writes its decision is not lost', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch({ idlePolicy });
  await t.clock.advance(10_000);
  const deciding = suspendIdle(t.app.context, liveOf(t, microvmId));
  const activity = t.begin(microvmId);
  await t.app.endpoints.awake(microvmId);
  await deciding;
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  expect(t.node.calls.some((call) => call.startsWith('suspend'))).toBe(false);
  activity.end();
});

test('before it looks for the last time whether a request came, its signs say that it does not run', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch({ idlePolicy });
  const { signs } = liveOf(t, microvmId);
  const { activity } = signs;
  const looks: [string | undefined, boolean][] = [];
  vi.spyOn(signs, 'activity', 'get').mockImplementation(() => {
    looks.push([t.app.context.index.get(microvmId)?.row.state, signs.runs]);
    return activity;
  });
  await t.clock.advance(10_000);
  await suspendIdle(t.app.context, liveOf(t, microvmId));
  await t.settle();
  expect(looks.at(-1)).toEqual(['SUSPENDING', false]);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
});

test('a wake that cannot be recorded rejects at once instead of spinning', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t);
  await sql`create trigger full before update of state on microvms begin select raise(abort, 'disk full'); end`.execute(
    t.store.db,
  );
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'internal' });
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'internal' });
  await sql`drop trigger full`.execute(t.store.db);
  await t.clock.advance(1000);
  await t.app.endpoints.awake(microvmId);
  expect(t.node.calls.filter((call) => call.startsWith('resume'))).toHaveLength(1);
});

test('a wake that finds no room for its record says so, and goes on when there is room', async () => {
  await using t = await testApp();
  const microvmId = await asleep(t);
  const full = vi.spyOn(t.app.context.stageMetrics, 'record').mockImplementation(() => {
    throw new Fault('disk_full', { file: 'waterbear.db', path: 'waterbear.db' });
  });
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'disk_full' });
  full.mockRestore();
  await expect(t.app.endpoints.awake(microvmId)).rejects.toMatchObject({ code: 'disk_full' });
  await t.clock.advance(1000);
  await t.app.endpoints.awake(microvmId);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test('an endpoint opened for a MicroVM that was not written down is given back', async () => {
  await using t = await testApp();
  await t.launch();
  const opened: string[] = [];
  const left: string[] = [];
  const openEndpoint = async (id: string) => void opened.push(id);
  Object.assign(t.app.context, { openEndpoint, closeEndpoint: (id: string) => void left.push(id) });
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
  t.app.endpoints.watch(() => seen.push(t.node.calls.at(-1) ?? ''));
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect(seen).toEqual([`launch ${microvmId}`]);
});

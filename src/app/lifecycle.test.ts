import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { listUsage } from '../store/usage.ts';
import { isIdle, suspendIdle } from './idle.ts';
import { resumeMicrovm } from './operations/resume-microvm.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { terminateMicrovm } from './operations/terminate-microvm.ts';
import { caller, demoArn, type TestApp, testApp } from './testing/test-app.ts';

const idlePolicy = { maxIdleDurationSeconds: 10, suspendedDurationSeconds: 60, autoResumeEnabled: true };

const kindsUsed = async ({ store }: TestApp, microvmId: string): Promise<string[]> =>
  (await listUsage(store.db, microvmId)).map(({ kind, endMs }) => (endMs === null ? `${kind}…` : kind));

/** Holds the next call of this kind until the returned function is called. */
function hold(t: TestApp, call: 'launch' | 'suspend' | 'resume' | 'terminate'): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  t.node.gates[call] = promise;
  return () => {
    delete t.node.gates[call];
    resolve();
  };
}

test('a launch answers PENDING and becomes RUNNING, and every state has its usage', async () => {
  await using t = await testApp();
  const { microvmId, state, stateReason } = await t.launch({ runHookPayload: 'p' });
  expect([state, stateReason]).toEqual(['RUNNING', undefined]);
  expect(t.node.launches).toMatchObject([{ microvmId, runHookPayload: 'p' }]);
  const input = { microvmIdentifier: microvmId };
  await suspendMicrovm(t.app.context, caller, input);
  expect((await t.get(microvmId)).state).toBe('SUSPENDING');
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  await suspendMicrovm(t.app.context, caller, input);
  await resumeMicrovm(t.app.context, caller, input);
  expect((await t.get(microvmId)).state).toBe('PENDING');
  await t.settle();
  await resumeMicrovm(t.app.context, caller, input);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  await terminateMicrovm(t.app.context, caller, input);
  expect((await t.get(microvmId)).state).toBe('TERMINATING');
  await t.settle();
  const end = await t.get(microvmId);
  expect([end.state, end.stateReason]).toEqual(['TERMINATED', 'Success.']);
  expect(end.terminatedAt).toBeInstanceOf(Date);
  expect(await kindsUsed(t, microvmId)).toEqual(['running', 'suspended', 'running']);
  await terminateMicrovm(t.app.context, caller, input);
  for (const change of [suspendMicrovm, resumeMicrovm]) {
    await expect(change(t.app.context, caller, input)).rejects.toMatchObject({ code: 'conflict' });
  }
});

test('a failed /run ends the MicroVM with the reason, and nothing is charged', async () => {
  await using t = await testApp();
  t.node.failures.launch = [new Fault('hook_failed', { what: 'Run lifecycle hook returned HTTP status 500.' })];
  const { microvmId, state, stateReason } = await t.launch();
  expect([state, stateReason]).toEqual(['TERMINATED', 'Run lifecycle hook returned HTTP status 500.']);
  expect(await kindsUsed(t, microvmId)).toEqual([]);
});

test('an error that is no Fault does not reach stateReason', async () => {
  await using t = await testApp();
  t.node.failures.launch = [new Error('/secret/path')];
  expect((await t.launch()).stateReason).toBe('An internal error of the host. Its log says more.');
});

test('a termination during the launch is carried out after it', async () => {
  await using t = await testApp();
  const first = await t.launch();
  const release = hold(t, 'launch');
  const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  expect(t.node.calls.filter((call) => call.startsWith('terminate'))).toEqual([]);
  release();
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('TERMINATED');
  expect(t.node.list().map((vm) => vm.microvmId)).toEqual([first.microvmId]);
  expect(await kindsUsed(t, microvmId)).toEqual([]);
});

test('suspending one that is launching is a conflict', async () => {
  await using t = await testApp();
  await t.launch();
  const release = hold(t, 'launch');
  const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
  await expect(suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId })).rejects.toMatchObject({
    code: 'conflict',
  });
  release();
});

test('a resume during a suspend follows it, one act at a time', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const release = hold(t, 'suspend');
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await resumeMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  release();
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  expect(t.node.calls.slice(-2)).toEqual([`suspend ${microvmId}`, `resume ${microvmId}`]);
});

test('a suspend that fails leaves it RUNNING with the reason, and the idle policy waits before it tries again', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch({ idlePolicy });
  const vm = t.app.context.index.get(microvmId);
  if (!vm) throw new Error('not in the index');
  const fault = (): Fault => new Fault('hook_failed', { what: 'Suspend lifecycle hook returned HTTP status 500.' });
  t.node.failures.suspend = [fault(), fault()];
  await t.clock.advance(10_000);
  await suspendIdle(t.app.context, vm);
  await t.settle();
  expect(await t.get(microvmId)).toMatchObject({
    state: 'RUNNING',
    stateReason: 'Suspend lifecycle hook returned HTTP status 500.',
  });
  expect(await kindsUsed(t, microvmId)).toEqual(['running…']);
  await t.clock.advance(29_000);
  expect(isIdle(t.app.context, vm)).toBe(false);
  await t.clock.advance(1000);
  expect(isIdle(t.app.context, vm)).toBe(true);
  await suspendIdle(t.app.context, vm);
  await t.settle();
  await t.clock.advance(59_000);
  expect(isIdle(t.app.context, vm)).toBe(false);
  await t.clock.advance(1000);
  await suspendIdle(t.app.context, vm);
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  expect((await t.get(microvmId)).stateReason).toBeUndefined();
});

test('where a failed /suspend ends it, it is terminated with the reason; other failures leave it RUNNING', async () => {
  await using t = await testApp({ suspendHookFailureEnds: true });
  const { microvmId } = await t.launch();
  const input = { microvmIdentifier: microvmId };
  t.node.failures.suspend = [new Fault('vmm_failed', { what: 'stuck' })];
  await suspendMicrovm(t.app.context, caller, input);
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  const what = 'Suspend lifecycle hook returned HTTP status 500.';
  t.node.failures.suspend = [new Fault('hook_failed', { what })];
  await suspendMicrovm(t.app.context, caller, input);
  await t.settle();
  expect(await t.get(microvmId)).toMatchObject({ state: 'TERMINATED', stateReason: what });
  expect(t.node.calls.at(-1)).toBe(`terminate ${microvmId}`);
  expect(await kindsUsed(t, microvmId)).toEqual(['running']);
});

test('a resume that fails leaves it SUSPENDED with a reason; without a snapshot it has ended', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  const damaged = (): Fault => new Fault('snapshot_corrupt', { file: 'delta', why: 'checksum' });
  t.node.failures.resume = [damaged(), damaged()];
  await resumeMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect(await t.get(microvmId)).toMatchObject({
    state: 'SUSPENDED',
    stateReason: expect.stringContaining('The snapshot file delta is damaged'),
  });
  t.node.vms.clear();
  await resumeMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('TERMINATED');
  expect(await kindsUsed(t, microvmId)).toEqual(['running', 'suspended']);
});

test('a termination that fails stays TERMINATING, is charged nothing, and is taken up again later only', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  t.node.failures.terminate = [new Error('stuck')];
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('TERMINATING');
  expect(await kindsUsed(t, microvmId)).toEqual(['running']);
});

test('one that ends by itself is TERMINATED with the reason of the host', async () => {
  await using t = await testApp();
  const left: string[] = [];
  t.app.endpoints.watch((event) => event.kind === 'left' && left.push(event.microvmId));
  const { microvmId } = await t.launch();
  t.node.end(microvmId, { cause: 'application_exited', what: 'Container Stopped with Exit Code: 3' });
  await t.clock.advance(0);
  expect(await t.get(microvmId)).toMatchObject({
    state: 'TERMINATED',
    stateReason: 'Container Stopped with Exit Code: 3',
  });
  expect(left).toEqual([microvmId]);
  expect(t.node.calls.at(-1)).toBe(`terminate ${microvmId}`);
});

test('one that ends while it is being suspended stays TERMINATED', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const release = hold(t, 'suspend');
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.clock.advance(0);
  t.node.end(microvmId, { cause: 'vmm_died', what: 'The VMM was killed.' });
  release();
  await t.settle();
  expect(await t.get(microvmId)).toMatchObject({ state: 'TERMINATED', stateReason: 'The VMM was killed.' });
});

test('whatever is asked in whatever order, it comes to rest as last wished and the usage tiles its life', async () => {
  const asks = { suspend: suspendMicrovm, resume: resumeMicrovm, terminate: terminateMicrovm };
  const step = fc.record({
    ask: fc.constantFrom('suspend', 'suspend', 'resume', 'resume', 'terminate') as fc.Arbitrary<keyof typeof asks>,
    settle: fc.boolean(),
    fail: fc.boolean(),
  });
  await using t = await testApp();
  await t.launch();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
      let terminated = false;
      for (const { ask, settle, fail } of steps) {
        if (fail) t.node.failures[ask] = [new Fault('hook_failed', { what: 'no' })];
        await asks[ask](t.app.context, caller, { microvmIdentifier: microvmId }).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'conflict' });
        });
        terminated ||= ask === 'terminate';
        await t.clock.advance(10);
        if (settle) await t.settle();
      }
      await t.settle();
      const { state } = await t.get(microvmId);
      const onHost = t.node.list().find((vm) => vm.microvmId === microvmId)?.state;
      const expected: Record<string, string | undefined> = { RUNNING: 'running', SUSPENDED: 'asleep' };
      if (state !== 'TERMINATING') expect(onHost).toBe(expected[state]);
      expect(['TERMINATING', 'TERMINATED'].includes(state)).toBe(terminated);
      const usage = await listUsage(t.store.db, microvmId);
      const open = usage.filter(({ endMs }) => endMs === null).map(({ kind }) => kind);
      expect(open).toEqual(state === 'RUNNING' ? ['running'] : state === 'SUSPENDED' ? ['suspended'] : []);
      usage.slice(1).forEach(({ startMs }, index) => {
        expect(startMs).toBe(usage[index]?.endMs);
      });
      t.node.failures.suspend = t.node.failures.resume = t.node.failures.terminate = [];
    }),
    { numRuns: 60 },
  );
});

// Rows and host that differ while the server runs: corrected when they differ for long enough, and left alone when somebody is at it.
import { expect, test, vi } from 'vitest';
import { createTasks } from '../tasks/create-tasks.ts';
import { changeState } from './change-state.ts';
import { resumeMicrovm } from './operations/resume-microvm.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { terminateMicrovm } from './operations/terminate-microvm.ts';
import { caller, demoArn, type TestApp, testApp } from './testing/test-app.ts';

/** Looks of the reconciler; in between nothing else happens. */
async function look(t: TestApp, tasks: ReturnType<typeof createTasks>, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await t.clock.advance(5000);
    await tasks.runOnce();
    await t.settle();
  }
}

const hostOf = (t: TestApp, microvmId: string) => {
  const host = t.node.vms.get(microvmId);
  if (!host) throw new Error('not on the host');
  return host;
};

test('RUNNING, and the host has nothing: it ends, at the second look', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const tasks = createTasks(t.app, t.clock);
  t.node.vms.delete(microvmId);
  await look(t, tasks, 1);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  await look(t, tasks, 1);
  expect(await t.get(microvmId)).toMatchObject({
    state: 'TERMINATED',
    stateReason: expect.stringContaining('does not run it any more'),
  });
});

test('RUNNING, and the host has it asleep as it was before: by policy', async () => {
  for (const [lostVms, state] of [
    ['end', 'TERMINATED'],
    ['restore', 'SUSPENDED'],
  ] as const) {
    await using t = await testApp({}, lostVms);
    const { microvmId } = await t.launch();
    const tasks = createTasks(t.app, t.clock);
    hostOf(t, microvmId).state = 'asleep';
    await look(t, tasks, 2);
    expect((await t.get(microvmId)).state).toBe(state);
    expect(t.node.vms.has(microvmId)).toBe(state === 'SUSPENDED');
  }
});

test('SUSPENDED, and the host runs it: it is put to sleep', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const tasks = createTasks(t.app, t.clock);
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  hostOf(t, microvmId).state = 'running';
  await look(t, tasks, 2);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  expect(hostOf(t, microvmId).state).toBe('asleep');
});

test('TERMINATED, and the host still has it: it is removed; what no row knows is left', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const tasks = createTasks(t.app, t.clock);
  const left = { ...hostOf(t, microvmId) };
  await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  t.node.vms.set(microvmId, left);
  t.node.vms.set('microvm-unknown', { ...left, microvmId: 'microvm-unknown' });
  await look(t, tasks, 3);
  expect(t.node.list().map((vm) => vm.microvmId)).toEqual(['microvm-unknown']);
});

test('a row that changed between the two looks is looked at anew', async () => {
  await using t = await testApp();
  const { microvmId } = await t.launch();
  const tasks = createTasks(t.app, t.clock);
  const vm = t.app.context.index.get(microvmId);
  if (!vm) throw new Error('not in the index');
  t.node.vms.delete(microvmId);
  await look(t, tasks, 1);
  await changeState(t.app.context, vm, () => ({ leaseUntilMs: t.clock.now() }));
  await look(t, tasks, 1);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  await look(t, tasks, 1);
  expect((await t.get(microvmId)).state).toBe('TERMINATED');
});

test('what is under way or recovering is left alone', async () => {
  await using t = await testApp();
  await t.launch();
  const tasks = createTasks(t.app, t.clock);
  const gate = Promise.withResolvers<void>();
  t.node.gates.launch = gate.promise;
  const { microvmId } = await runMicrovm(t.app.context, caller, { imageIdentifier: demoArn });
  for (let i = 0; i < 3; i++) {
    await t.clock.advance(5000);
    await tasks.runOnce();
  }
  expect((await t.get(microvmId)).state).toBe('PENDING');
  gate.resolve();
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('RUNNING');
});

test.each([
  ['end', 'TERMINATED', 'was given up; with --lost-vms restore it would continue from there.'],
  ['restore', 'SUSPENDED', 'what happened since is lost.'],
] as const)('a VMM that dies (%s): its MicroVM is %s at once, with the reason', async (lostVms, state, words) => {
  await using t = await testApp({}, lostVms);
  const { microvmId } = await t.launch();
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  await resumeMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  t.node.die(microvmId, 'It died.');
  await vi.waitFor(async () => expect((await t.get(microvmId)).state).toBe(state));
  expect((await t.get(microvmId)).stateReason).toMatch(/^It died\. /);
  expect((await t.get(microvmId)).stateReason).toContain(words);
  await vi.waitFor(() => expect(t.node.vms.has(microvmId)).toBe(state === 'SUSPENDED'));
});

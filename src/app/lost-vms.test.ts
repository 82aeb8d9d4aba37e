// A VMM may die at any moment, also within an act and while one is only being written. Its MicroVM goes on from an earlier snapshot only where the policy
// says so, and then its record says so.
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { createTasks } from '../tasks/create-tasks.ts';
import { resumeMicrovm } from './operations/resume-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { type MicrovmReport, readReport } from './report.ts';
import { caller, type TestApp, testApp } from './testing/test-app.ts';

interface Case extends AsyncDisposable {
  t: TestApp;
  microvmId: string;
  which: { microvmIdentifier: string };
  /** When its last snapshot was taken, ISO 8601. */
  savedAt: string;
  report(): MicrovmReport;
}

/** A MicroVM that has slept once, a minute ago, and runs. */
async function sleptOnce(lostVms: 'end' | 'restore'): Promise<Case> {
  const t = await testApp({}, lostVms);
  const { microvmId } = await t.launch();
  const which = { microvmIdentifier: microvmId };
  const savedAt = new Date(t.clock.now()).toISOString();
  await suspendMicrovm(t.app.context, caller, which);
  await t.settle();
  await resumeMicrovm(t.app.context, caller, which);
  await t.settle();
  await t.clock.advance(60_000);
  const report = (): MicrovmReport => {
    const row = t.app.context.index.get(microvmId)?.row;
    if (!row) throw new Error('not in the index');
    return readReport(row);
  };
  return { t, microvmId, which, savedAt, report, [Symbol.asyncDispose]: () => t[Symbol.asyncDispose]() };
}

/** Turns of the event loop's own queue; a write of a row takes some of them. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

const moments = [0, 1, 2, 4, 8, 16];

test('a VMM that dies while its suspend is being written was not put to sleep', async () => {
  for (const moment of moments) {
    await using one = await sleptOnce('restore');
    const { t, microvmId, which, savedAt } = one;
    const asked = suspendMicrovm(t.app.context, caller, which);
    await turns(moment);
    t.node.die(microvmId, 'It died.');
    await asked;
    await t.settle();
    expect(await t.get(microvmId), `after ${moment} turns`).toMatchObject({
      state: 'SUSPENDED',
      stateReason: `It died. It continues from its snapshot of ${savedAt}; what happened since is lost.`,
    });
    expect(one.report()).toMatchObject({ savedAt, sleep: { cause: 'restart' } });
  }
});

test('nor does it live on where a lost VM ends', async () => {
  for (const moment of moments) {
    await using one = await sleptOnce('end');
    const { t, microvmId, which } = one;
    const asked = suspendMicrovm(t.app.context, caller, which).catch(() => {});
    await turns(moment);
    t.node.die(microvmId, 'It died.');
    await asked;
    await t.settle();
    expect(await t.get(microvmId), `after ${moment} turns`).toMatchObject({
      state: 'TERMINATED',
      stateReason: expect.stringMatching(/^It died\. .* was given up/),
    });
  }
});

test.each(['end', 'restore'] as const)('a VMM that dies before its wake is recorded (%s)', async (lostVms) => {
  await using one = await sleptOnce(lostVms);
  const { t, microvmId, which } = one;
  await suspendMicrovm(t.app.context, caller, which);
  await t.settle();
  const { resume } = t.node;
  t.node.resume = async (id) => {
    const woken = await resume.call(t.node, id);
    t.node.die(id, 'It died.');
    return woken;
  };
  await resumeMicrovm(t.app.context, caller, which);
  await t.settle();
  expect(await t.get(microvmId)).toMatchObject({
    state: lostVms === 'end' ? 'TERMINATED' : 'SUSPENDED',
    stateReason: expect.stringMatching(/^It died\. /),
  });
  t.node.resume = resume;
  if (lostVms === 'restore') await t.app.endpoints.awake(microvmId);
});

test('requests that come when it is lost are answered by what it goes back to, and its record says so until it sleeps again', async () => {
  await using one = await sleptOnce('restore');
  const { t, microvmId, which, savedAt } = one;
  for (const times of [1, 2]) {
    t.node.die(microvmId, 'It died.');
    const at = new Date(t.clock.now()).toISOString();
    await Promise.all([t.app.endpoints.awake(microvmId), t.app.endpoints.awake(microvmId)]);
    const why = `It died. It continues from its snapshot of ${savedAt}; what happened since is lost.`;
    expect(await t.get(microvmId)).toMatchObject({ state: 'RUNNING', stateReason: why });
    expect((await t.app.extension.microvm(caller, microvmId)).wentBack).toEqual({ at, to: savedAt, why, times });
    await t.clock.advance(1000);
  }
  await suspendMicrovm(t.app.context, caller, which);
  await t.settle();
  await t.app.endpoints.awake(microvmId).catch(() => {});
  expect((await t.get(microvmId)).stateReason).toBeUndefined();
  expect(one.report().wentBack).toMatchObject({ times: 2, to: savedAt });
});

test('a loss that cannot be written at once is not forgotten', async () => {
  await using one = await sleptOnce('restore');
  const { t, microvmId } = one;
  await sql`create trigger full before update on microvms begin select raise(abort, 'full'); end`.execute(t.store.db);
  t.node.die(microvmId, 'It died.');
  await t.settle();
  await sql`drop trigger full`.execute(t.store.db);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  await t.clock.advance(2000);
  await createTasks(t.app, t.clock).runOnce();
  await t.settle();
  expect((await t.get(microvmId)).stateReason).toMatch(/^It died\. /);
});

test('a hook that fails because its VM is gone is no failure of the hook', async () => {
  await using t = await testApp({ suspendHookFailureEnds: true }, 'restore');
  const { microvmId } = await t.launch();
  const which = { microvmIdentifier: microvmId };
  await suspendMicrovm(t.app.context, caller, which);
  await t.settle();
  await resumeMicrovm(t.app.context, caller, which);
  await t.settle();
  t.node.suspend = async (id) => {
    t.node.die(id, 'It died.');
    throw new Fault('hook_failed', { what: 'It died.', hook: 'suspend' });
  };
  await suspendMicrovm(t.app.context, caller, which);
  await t.settle();
  const stateReason = expect.stringMatching(/^It died\. .* is lost\.$/);
  expect(await t.get(microvmId)).toMatchObject({ state: 'SUSPENDED', stateReason });
});

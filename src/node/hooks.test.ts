import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import type { Guest, MachineEnd } from '../vmm/driver.ts';
import { callHook, type HookCall } from './hooks.ts';

const plan = { port: 9000, runSeconds: 10, resumeSeconds: 1, suspendSeconds: 2, terminateSeconds: 3 };
const refused = (): Fault =>
  new Fault('guest_failed', { what: 'answered refused: nothing listens', guestCode: 'refused' });

/** A VM whose application gives these answers, the last one for ever; it never answers when there are none. */
function machineWith(answers: (number | Error)[]) {
  const asked: unknown[][] = [];
  const { promise: ended, resolve: end } = Promise.withResolvers<MachineEnd>();
  const hook: Guest['hook'] = async (...question) => {
    const answer = answers[Math.min(asked.push(question), answers.length) - 1];
    if (answer === undefined) return new Promise(() => {});
    if (typeof answer !== 'number') throw answer;
    return answer;
  };
  return { asked, end, machine: { ended, guest: { hook } as Guest } };
}

const call = (answers: (number | Error)[], order: HookCall, hooks: typeof plan | object = plan) => {
  const { machine, asked, end } = machineWith(answers);
  return { asked, end, called: callHook(machine, hooks, order) };
};

test('an enabled hook is called once, with its body and its time; a disabled one never', async () => {
  const { asked, called } = call([200], { hook: 'run', body: '{}' });
  expect(await called).toBe(true);
  expect(asked).toEqual([[9000, 'run', '{}', 10_000]]);
  for (const hook of ['run', 'resume', 'suspend', 'terminate'] as const) {
    const disabled = call([500], { hook }, { port: 9000, readySeconds: 1, validateSeconds: 1 });
    expect([await disabled.called, disabled.asked]).toEqual([false, []]);
  }
});

test.each([
  ['run', 500, 'Run lifecycle hook returned HTTP status 500. It must return 200.'],
  ['run', 503, 'Run lifecycle hook returned HTTP status 503. It must return 200.'],
  ['resume', 302, 'Resume lifecycle hook returned HTTP status 302. It must return 200.'],
  ['suspend', 404, 'Suspend lifecycle hook returned HTTP status 404. It must return 200.'],
  ['terminate', 204, 'Terminate lifecycle hook returned HTTP status 204. It must return 200.'],
] as const)('/%s with %d has failed and is not asked again', async (hook, status, message) => {
  const { asked, called } = call([status, 200], { hook });
  await expect(called).rejects.toMatchObject({ code: 'hook_failed', message });
  expect(asked).toHaveLength(1);
});

test('an answer that comes too late', async () => {
  const { asked, called } = call([new Fault('deadline_exceeded', { what: 'It', ms: 1 }), 200], { hook: 'run' });
  await expect(called).rejects.toThrow('Run lifecycle hook timed out after 10 seconds. Raise runTimeoutInSeconds');
  expect(asked).toHaveLength(1);
});

test('a refused connection is tried again for a moment, within the time of the hook', async () => {
  const soon = call([refused(), refused(), 200], { hook: 'run' });
  expect(await soon.called).toBe(true);
  const times = soon.asked.map(([, , , ms]) => Number(ms));
  expect(times[2]).toBeLessThan(times[0] ?? 0);
  const never = call([refused()], { hook: 'resume' });
  await expect(never.called).rejects.toThrow('Resume lifecycle hook could not be called on port 9000: The guest');
  const left = never.asked.map(([, , , ms]) => Number(ms));
  expect(left.length).toBeGreaterThan(2);
  expect(Math.max(...left)).toBeLessThanOrEqual(1000);
  expect(Math.min(...left)).toBeGreaterThan(0);
});

test('a failure that is no refusal is not tried again', async () => {
  const noHttp = new Fault('guest_failed', { what: 'answered failed: the answer is not HTTP', guestCode: 'failed' });
  const { asked, called } = call([noHttp, 200], { hook: 'run' });
  await expect(called).rejects.toThrow('not HTTP');
  expect(asked).toHaveLength(1);
});

test('an application that ends meanwhile says why, and an aborted call does not wait', async () => {
  const what = 'Container Stopped with Exit Code: 3';
  const silent = call([], { hook: 'run' });
  silent.end({ cause: 'application_exited', what, consoleTail: '' });
  await expect(silent.called).rejects.toMatchObject({ code: 'hook_failed', message: what });
  const broken = call([new Fault('guest_failed', { what: 'went away' })], { hook: 'run' });
  broken.end({ cause: 'application_exited', what, consoleTail: '' });
  await expect(broken.called).rejects.toMatchObject({ message: what });
  const { called } = call([], { hook: 'run', signal: AbortSignal.timeout(10) });
  await expect(called).rejects.toMatchObject({ code: 'aborted' });
});

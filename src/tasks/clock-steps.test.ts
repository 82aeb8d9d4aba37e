// The wall clock is set forward and back by an hour while the server runs: what was promised in seconds lasts as many seconds.
import { sql } from 'kysely';
import { describe, expect, test } from 'vitest';
import { cachedKeys } from '../api/sigv4/key-cache.ts';
import { Background } from '../app/background.ts';
import { suspendMicrovm } from '../app/operations/suspend-microvm.ts';
import { terminateMicrovm } from '../app/operations/terminate-microvm.ts';
import { caller, type TestApp, testApp } from '../app/testing/test-app.ts';
import { createThrottle } from '../app/throttle.ts';
import { profiles } from '../config/profiles.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLog } from '../lib/log.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { Allowance } from '../net/resolver/allowance.ts';
import { listUsage } from '../store/usage.ts';
import { createTasks } from './create-tasks.ts';

const idlePolicy = { maxIdleDurationSeconds: 10, suspendedDurationSeconds: 20, autoResumeEnabled: true };

async function running(t: TestApp) {
  const tasks = createTasks(t.app, t.clock);
  tasks.start();
  return { [Symbol.asyncDispose]: () => tasks.stop() };
}

describe.each([3_600_000, -3_600_000])('a step of %i ms', (stepMs) => {
  test('idle time and suspended duration are as long as they were', async () => {
    await using t = await testApp();
    await using _ = await running(t);
    const { microvmId } = await t.launch({ idlePolicy });
    await t.clock.advance(5000);
    t.clock.step(stepMs);
    await t.clock.advance(4900);
    expect((await t.get(microvmId)).state).toBe('RUNNING');
    await t.clock.advance(350);
    expect((await t.get(microvmId)).state).toBe('SUSPENDED');
    t.clock.step(-stepMs);
    await t.clock.advance(19_500);
    expect((await t.get(microvmId)).state).toBe('SUSPENDED');
    t.clock.step(stepMs);
    await t.clock.advance(750);
    expect((await t.get(microvmId)).state).toBe('TERMINATED');
  });

  test('a MicroVM lives as long as it may, and its usage has no gap and no other length', async () => {
    await using t = await testApp();
    await using _ = await running(t);
    const { microvmId } = await t.launch({ maximumDurationInSeconds: 60 });
    await t.clock.advance(10_000);
    t.clock.step(stepMs);
    await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
    await t.settle();
    await t.clock.advance(20_000);
    t.clock.step(stepMs);
    await t.clock.advance(29_900);
    expect((await t.get(microvmId)).state).toBe('SUSPENDED');
    await t.clock.advance(350);
    expect((await t.get(microvmId)).state).toBe('TERMINATED');
    const usage = await listUsage(t.store.db, microvmId);
    expect(usage.map(({ kind, startMs, endMs }) => [kind, (endMs ?? 0) - startMs])).toEqual([
      ['running', 10_000],
      ['suspended', 50_000],
    ]);
    expect(usage[1]?.startMs).toBe(usage[0]?.endMs);
  });

  test('a lease holds for its time', async () => {
    await using t = await testApp();
    await using _ = await running(t);
    const { microvmId } = await t.launch({ idlePolicy });
    await t.app.extension.lease(caller, microvmId, 60);
    t.clock.step(stepMs);
    await t.clock.advance(59_900);
    expect((await t.get(microvmId)).state).toBe('RUNNING');
    await t.clock.advance(350);
    expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  });

  test('what failed is tried again after its pause', async () => {
    await using t = await testApp();
    await using _ = await running(t);
    const { microvmId } = await t.launch();
    t.node.failures.terminate = [new Error('stuck')];
    await terminateMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
    await t.settle();
    t.clock.step(stepMs);
    await t.clock.advance(4500);
    expect((await t.get(microvmId)).state).toBe('TERMINATING');
    await t.clock.advance(1000);
    expect((await t.get(microvmId)).state).toBe('TERMINATED');
  });

  test('what could not be recorded is recorded a second later', async () => {
    await using t = await testApp();
    await using _ = await running(t);
    const { microvmId } = await t.launch();
    await sql`create trigger full before update on microvms when new.state = 'SUSPENDED'
      begin select raise(abort, 'disk full'); end`.execute(t.store.db);
    await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
    await t.settle();
    await sql`drop trigger full`.execute(t.store.db);
    t.clock.step(stepMs);
    await t.clock.advance(1500);
    expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  });

  test('work in the background, rates and caches go on', async () => {
    const clock = new ManualClock();
    let runs = 0;
    const background = new Background('work', { clock, log: silentLog }, async () => {
      runs += 1;
      if (runs === 1) throw new Error('full');
      return false;
    });
    await background.wake();
    const throttle = createThrottle(profiles.aws.rates, clock);
    const suspends = (): number => {
      let passed = 0;
      try {
        for (; passed < 100; passed++) throttle(caller, 'SuspendMicrovm');
      } catch {}
      return passed;
    };
    const resolver = new Allowance(clock);
    const questions = (): number => {
      let passed = 0;
      while (passed < 10_000 && resolver.enter(1)) {
        resolver.leave(1);
        passed += 1;
      }
      return passed;
    };
    let lookups = 0;
    const keys = cachedKeys(async () => {
      lookups += 1;
      return { secret: 'x', account: caller.account };
    }, clock);
    await keys('A');
    const [rate, burst] = [suspends(), questions()];
    expect(suspends() + questions()).toBe(0);
    clock.step(stepMs);
    await background.wake();
    await keys('A');
    expect([runs, lookups, suspends(), questions()]).toEqual([1, 1, 0, 0]);
    await clock.advance(1000);
    await background.wake();
    await keys('A');
    expect([runs, lookups, suspends()]).toEqual([2, 2, rate]);
    const again = questions();
    expect(again).toBeGreaterThan(0);
    expect(again).toBeLessThanOrEqual(burst);
  });
});

test('the clock of the system has three readings of one time', () => {
  const [now, steady, elapsed] = [systemClock.now(), systemClock.steady(), systemClock.elapsed()];
  expect(Math.abs(steady - now)).toBeLessThan(60_000);
  expect(Number.isInteger(elapsed)).toBe(true);
  expect(systemClock.elapsed()).toBeGreaterThanOrEqual(elapsed);
});

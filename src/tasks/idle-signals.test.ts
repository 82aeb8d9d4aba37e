// What keeps a MicroVM awake, signal by signal, and what is kept of why it slept.
import { expect, test, vi } from 'vitest';
import { resumeMicrovm } from '../app/operations/resume-microvm.ts';
import { suspendMicrovm } from '../app/operations/suspend-microvm.ts';
import { readReport } from '../app/report.ts';
import { caller, type TestApp, testApp } from '../app/testing/test-app.ts';
import type { IdleSignals } from '../contract/limits.ts';
import { createTasks } from './create-tasks.ts';

const idlePolicy = { maxIdleDurationSeconds: 60, suspendedDurationSeconds: 3600, autoResumeEnabled: true };
const all: IdleSignals = { requests: true, lease: true, cpuPercent: 10, outboundBytes: 8192 };
const none: IdleSignals = { requests: false, lease: false };

async function running(idleSignals: IdleSignals, policy: { idlePolicy?: typeof idlePolicy } = { idlePolicy }) {
  const t = await testApp({ idleSignals });
  const { microvmId } = await t.launch(policy);
  const tasks = createTasks(t.app, t.clock);
  tasks.start();
  const state = async () => (await t.get(microvmId)).state;
  return {
    t,
    microvmId,
    state,
    sleep: () => sleepOf(t, microvmId),
    /** For so long the guest does this much of the time, and sends this much. */
    async use(seconds: number, { percent = 0, bytesPerSecond = 0 }) {
      for (let second = 0; second < seconds; second++) {
        const { cpuMs, sentBytes } = t.node.uses.get(microvmId) ?? { cpuMs: 0, sentBytes: 0 };
        await t.clock.advance(1000);
        t.node.uses.set(microvmId, { cpuMs: cpuMs + 10 * percent, sentBytes: sentBytes + bytesPerSecond });
      }
    },
    async [Symbol.asyncDispose]() {
      await tasks.stop();
      await t[Symbol.asyncDispose]();
    },
  };
}

function sleepOf(t: TestApp, microvmId: string) {
  const row = t.app.context.index.get(microvmId)?.row;
  return row ? readReport(row).sleep : undefined;
}

test.each([
  ['cpu', { percent: 30 }],
  ['outbound', { bytesPerSecond: 4000 }],
] as const)('a guest that only uses %s stays awake, and sleeps its idle time after', async (signal, use) => {
  await using vm = await running(all);
  await vm.use(600, use);
  expect(await vm.state()).toBe('RUNNING');
  await vm.use(50, {});
  expect(await vm.state()).toBe('RUNNING');
  await vm.use(25, {});
  expect(await vm.state()).toBe('SUSPENDED');
  const sleep = vm.sleep();
  expect(sleep).toMatchObject({ cause: 'idle', lastSignal: signal });
  expect(sleep?.quietSeconds?.[signal]).toBe(60);
  expect(sleep?.quietSeconds?.endpoint).toBeGreaterThan(600);
  const since = Date.parse(sleep?.at ?? '') - Date.parse(sleep?.lastSignalAt ?? '');
  expect(Math.floor(since / 1000)).toBe(60);
});

test.each([
  ['cpu', { percent: 30 }],
  ['outbound', { bytesPerSecond: 4000 }],
] as const)('%s counts only where it is named', async (signal, use) => {
  const others: Record<string, IdleSignals> = {
    cpu: { ...none, outboundBytes: 8192 },
    outbound: { ...none, cpuPercent: 10 },
  };
  for (const signals of [none, others[signal] ?? none]) {
    await using vm = await running(signals);
    await vm.use(61, use);
    expect(await vm.state()).toBe('SUSPENDED');
    expect(vm.sleep()?.quietSeconds).not.toHaveProperty(signal);
  }
});

test('housekeeping, timers, keep-alives and single bursts are not use', async () => {
  await using quiet = await running(all);
  await quiet.use(61, { percent: 6, bytesPerSecond: 600 });
  expect(await quiet.state()).toBe('SUSPENDED');
  expect(quiet.sleep()).toMatchObject({ lastSignal: 'start', quietSeconds: { cpu: 60, outbound: 60, lease: 60 } });
  await using bursts = await running(all);
  for (let round = 0; round < 3; round++) {
    await bursts.use(4, {});
    await bursts.use(1, { percent: 80 });
    await bursts.use(15, {});
  }
  await bursts.use(1, {});
  expect(await bursts.state()).toBe('SUSPENDED');
});

test('a guest is looked at only where that decides', async () => {
  const looked = async (vm: Awaited<ReturnType<typeof running>>, seconds: number): Promise<number> => {
    const statistics = vm.t.node.statistics.bind(vm.t.node);
    let count = 0;
    vm.t.node.statistics = (id) => {
      count += 1;
      return statistics(id);
    };
    await vm.t.clock.advance(seconds * 1000);
    return count;
  };
  await using quiet = await running(all);
  expect(await looked(quiet, 50)).toBe(10);
  await using busy = await running(all);
  busy.t.begin(busy.microvmId);
  expect(await looked(busy, 50)).toBe(0);
  await using leased = await running(all);
  await leased.t.app.extension.lease(caller, leased.microvmId, 3600);
  expect(await looked(leased, 50)).toBe(0);
  await using unmanaged = await running(all, {});
  expect(await looked(unmanaged, 50)).toBe(0);
});

test('a guest that cannot be looked at is not awake for ever, and is complained of once', async () => {
  for (const hang of [false, true]) {
    await using vm = await running(all);
    const warnings: string[] = [];
    const log = { ...vm.t.app.context.log, warn: (event: string) => void warnings.push(event) };
    Object.assign(vm.t.app.context, { log });
    vm.t.node.statistics = () => (hang ? new Promise(() => {}) : Promise.reject(new Error('gone')));
    await vm.t.clock.advance(61_000);
    expect(await vm.state()).toBe('SUSPENDED');
    expect(warnings).toEqual(hang ? [] : ['microvm.signals_not_seen']);
  }
});

test('counters that begin anew with a wake are not taken for use', async () => {
  await using vm = await running(all);
  vm.t.node.uses.set(vm.microvmId, { cpuMs: 100_000, sentBytes: 1 << 30 });
  await vm.t.clock.advance(10_000);
  await suspendMicrovm(vm.t.app.context, caller, { microvmIdentifier: vm.microvmId });
  await vm.t.settle();
  await vm.t.app.endpoints.awake(vm.microvmId);
  vm.t.node.uses.set(vm.microvmId, { cpuMs: 200_000, sentBytes: 2 ** 31 });
  await vm.t.clock.advance(61_000);
  expect(vm.sleep()).toMatchObject({ cause: 'idle', lastSignal: 'start' });
});

test('what was done while nobody had to look is not taken for use of now', async () => {
  await using vm = await running(all);
  await vm.use(10, {});
  const request = vm.t.begin(vm.microvmId);
  await vm.use(100, { percent: 90, bytesPerSecond: 10_000 });
  request.end();
  await vm.use(61, {});
  expect(vm.sleep()).toMatchObject({ cause: 'idle', lastSignal: 'endpoint', quietSeconds: { endpoint: 60 } });
});

test('a lease keeps it awake until it ends, and one can be given back', async () => {
  await using vm = await running(all);
  const { extension } = vm.t.app;
  const { leasedUntil } = await extension.lease(caller, vm.microvmId, 600);
  expect(Date.parse(leasedUntil ?? '') - vm.t.clock.now()).toBe(600_000);
  await vm.t.clock.advance(599_500);
  expect(await vm.state()).toBe('RUNNING');
  expect(await extension.microvm(caller, vm.microvmId)).toMatchObject({
    leasedUntil,
    lastSeen: { lease: expect.any(String) },
  });
  await vm.t.clock.advance(750);
  expect(await vm.state()).toBe('SUSPENDED');
  expect(vm.sleep()).toMatchObject({ cause: 'idle', lastSignal: 'lease', quietSeconds: { lease: 0 } });
  await using other = await running(all);
  await other.t.app.extension.lease(caller, other.microvmId, 86_400);
  await other.t.clock.advance(300_000);
  expect(await other.t.app.extension.lease(caller, other.microvmId, 0)).toMatchObject({ leasedUntil: null });
  await other.t.clock.advance(250);
  expect(await other.state()).toBe('SUSPENDED');
});

test('a lease holds neither against an explicit suspend nor beyond the maximum duration, and wakes nobody', async () => {
  await using t = await testApp({ idleSignals: all });
  const tasks = createTasks(t.app, t.clock);
  tasks.start();
  const { microvmId } = await t.launch({ idlePolicy, maximumDurationInSeconds: 1000 });
  const { leasedUntil } = await t.app.extension.lease(caller, microvmId, 86_400);
  expect(Date.parse(leasedUntil ?? '') - t.clock.now()).toBe(1_000_000);
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  expect(sleepOf(t, microvmId)).toMatchObject({ cause: 'requested' });
  expect(await t.app.extension.lease(caller, microvmId, 60)).toMatchObject({ state: 'SUSPENDED' });
  await t.clock.advance(1_000_250);
  expect((await t.get(microvmId)).state).toBe('TERMINATED');
  await expect(t.app.extension.lease(caller, microvmId, 60)).rejects.toMatchObject({ code: 'conflict' });
  await tasks.stop();
});

test('a lease survives a restart of the server', async () => {
  await using t = await testApp({ idleSignals: all });
  const { microvmId } = await t.launch({ idlePolicy });
  await t.app.extension.lease(caller, microvmId, 600);
  await t.app.suspendAll(1000);
  expect(sleepOf(t, microvmId)).toMatchObject({ cause: 'shutdown' });
  const next = t.restart();
  await next.start();
  const tasks = createTasks(next, t.clock);
  tasks.start();
  await next.endpoints.awake(microvmId);
  await t.clock.advance(599_000);
  expect((await t.get(microvmId)).state).toBe('RUNNING');
  await t.clock.advance(1250);
  expect((await t.get(microvmId)).state).toBe('SUSPENDED');
  await tasks.stop();
});

test('nobody leases what is not theirs, nor where leases are not honoured', async () => {
  await using t = await testApp({ idleSignals: none });
  const { microvmId } = await t.launch();
  await expect(t.app.extension.lease(caller, microvmId, 60)).rejects.toMatchObject({ code: 'invalid_input' });
  await using open = await testApp();
  const own = await open.launch();
  const stranger = { account: '999999999999' };
  await expect(open.app.extension.lease(stranger, own.microvmId, 60)).rejects.toMatchObject({ code: 'not_found' });
});

test('what a crash left asleep says so, and a suspend that was called off leaves no record', async () => {
  await using t = await testApp({}, 'restore');
  const { microvmId } = await t.launch();
  await suspendMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  await resumeMicrovm(t.app.context, caller, { microvmIdentifier: microvmId });
  await t.settle();
  t.node.die(microvmId, 'It died.');
  await vi.waitFor(() => expect(sleepOf(t, microvmId)).toMatchObject({ cause: 'restart' }));
  await using failing = await testApp();
  const other = await failing.launch();
  failing.node.failures.suspend = [new Error('full')];
  await suspendMicrovm(failing.app.context, caller, { microvmIdentifier: other.microvmId });
  await failing.settle();
  expect((await failing.get(other.microvmId)).state).toBe('RUNNING');
  expect(sleepOf(failing, other.microvmId)).toBeUndefined();
});

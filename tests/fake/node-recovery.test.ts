// A host whose server was killed in the middle of each act with a MicroVM: what the next one makes of what it finds.
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { Journal, type JournaledAct } from '../../src/node/journal.ts';
import { closeHosts, hostWith } from './node-rig.ts';
import { count, crashed, expectClean, files, id, never, stateOf } from './recovery-rig.ts';

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await closeHosts();
});

/** The server stands still for ever at the first change of the journal that fits. Resolves when it does. */
function standStill(when: 'before' | 'after', act: JournaledAct | 'clear'): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const original = { write: Journal.prototype.write, clear: Journal.prototype.clear };
  const stop = async (change: () => Promise<void>): Promise<void> => {
    if (when === 'after') await change();
    resolve();
    vi.restoreAllMocks();
    return never;
  };
  vi.spyOn(Journal.prototype, 'write').mockImplementation(function (this: Journal, entry) {
    const change = (): Promise<void> => original.write.call(this, entry);
    return entry.act === act ? stop(change) : change();
  });
  vi.spyOn(Journal.prototype, 'clear').mockImplementation(function (this: Journal, microvmId) {
    const change = (): Promise<void> => original.clear.call(this, microvmId);
    return act === 'clear' ? stop(change) : change();
  });
  return promise;
}

test('one that ran is taken over: it has lost nothing, takes its room, and sleeps and wakes as before', async () => {
  const host = await hostWith();
  await host.launch('a');
  expect(await count(host)).toBe(1);
  const [before] = host.driver.machines;
  for (let round = 0; round < 3; round++) {
    expect(await crashed(host)).toBeUndefined();
    expect(host.driver.machines[0]?.pid).toBe(before?.pid);
    expect(await count(host)).toBe(2 + round);
    await expectClean(host, 'running');
  }
  await host.node.suspend(id);
  await expectClean(host, 'asleep');
  await host.node.resume(id);
  expect(await count(host)).toBe(5);
  await crashed(host);
  expect(await count(host)).toBe(6);
  await host.node.terminate(id);
  await expectClean(host, undefined);
});

test.each([
  ['before', 'launch', undefined],
  ['after', 'launch', undefined],
  ['before', 'run', undefined],
  ['after', 'run', 'running'],
] as const)('a launch that stopped %s %s was noted', async (when, act, state) => {
  const host = await hostWith();
  const stopped = standStill(when, act);
  void host.launch('a');
  await stopped;
  await crashed(host);
  await expectClean(host, state);
  if (!state) await host.launch('a');
  expect(await count(host)).toBe(1);
});

test.each([
  ['before', 'wake', 'asleep'],
  ['after', 'wake', 'asleep'],
  ['before', 'run', 'asleep'],
  ['after', 'run', 'running'],
] as const)('a wake that stopped %s %s was noted', async (when, act, state) => {
  const host = await hostWith();
  await host.launch('a');
  expect(await count(host)).toBe(1);
  await host.node.suspend(id);
  const stopped = standStill(when, act);
  void host.node.resume(id);
  await stopped;
  await crashed(host);
  await expectClean(host, state);
  if (state === 'asleep') await host.node.resume(id);
  expect(await count(host)).toBe(2);
});

test.each([
  ['before', 'sleep', 'running'],
  ['after', 'sleep', 'running'],
  ['before', 'clear', 'asleep'],
  ['after', 'clear', 'asleep'],
] as const)('a sleep that stopped %s %s was noted', async (when, act, state) => {
  const host = await hostWith();
  await host.launch('a');
  await host.node.suspend(id);
  await host.node.resume(id);
  expect(await count(host)).toBe(1);
  const stopped = standStill(when, act);
  void host.node.suspend(id);
  await stopped;
  await crashed(host);
  await expectClean(host, state);
  if (state === 'asleep') await host.node.resume(id);
  expect(await count(host)).toBe(2);
});

test.each([
  ['before', 'end', 'running'],
  ['after', 'end', undefined],
  ['before', 'clear', undefined],
] as const)('an end that stopped %s %s was noted', async (when, act, state) => {
  const host = await hostWith();
  await host.launch('a');
  await host.node.suspend(id);
  await host.node.resume(id);
  const stopped = standStill(when, act);
  void host.node.terminate(id);
  await stopped;
  await crashed(host);
  await expectClean(host, state);
  await host.node.terminate(id);
  await expectClean(host, undefined);
});

test('a VMM that died while no server was there: its last snapshot is left, or nothing', async () => {
  const host = await hostWith();
  await host.launch('a');
  let [machine] = host.driver.machines;
  await host.driver.crash();
  await machine?.die();
  expect(await crashed(host)).toMatch(/ended while the server was not running/);
  await expectClean(host, undefined);
  await host.launch('a');
  expect(await count(host)).toBe(1);
  await host.node.suspend(id);
  await host.node.resume(id);
  expect(await count(host)).toBe(2);
  [machine] = host.driver.machines;
  await host.driver.crash();
  await machine?.die();
  expect(await crashed(host)).toMatch(/ended while the server was not running/);
  await expectClean(host, 'asleep');
  await host.node.resume(id);
  expect(await count(host)).toBe(2);
});

test('a VMM that dies is told at once; with a snapshot it is asleep, without one it is gone', async () => {
  const host = await hostWith();
  const told: unknown[] = [];
  host.node.onEnded((...event) => void told.push([...event, stateOf(host)]));
  await host.launch('a');
  await host.node.suspend(id);
  await host.node.resume(id);
  await host.driver.machines[0]?.die();
  expect(told).toEqual([[id, expect.objectContaining({ cause: 'vmm_died' }), 'asleep']]);
  await vi.waitFor(() => expectClean(host, 'asleep'));
  await host.node.resume(id);
  await host.driver.machines[0]?.panic();
  expect(told[1]).toEqual([id, expect.objectContaining({ cause: 'guest_crashed' }), undefined]);
  await vi.waitFor(() => expectClean(host, undefined));
});

test('what the journal says and cannot be read is not believed: what runs is ended, what slept is kept', async () => {
  const host = await hostWith();
  await host.launch('a');
  await host.node.suspend(id);
  await host.node.resume(id);
  await writeFile(join(host.directory, 'run', 'journal', `${id}.json`), '{');
  expect(await crashed(host)).toMatch(/could not be read/);
  await expectClean(host, 'asleep');
});

test('a snapshot whose record cannot be read is neither used nor removed', async () => {
  const host = await hostWith();
  await host.launch('a');
  await host.node.suspend(id);
  await writeFile(join(host.directory, 'vms', id, 'microvm.json'), '{');
  expect(await crashed(host)).toMatch(/microvm\.json, cannot be read/);
  expect(stateOf(host)).toBeUndefined();
  expect(await files(host, 'vms', id)).toContain('sleep-1');
});

test('what the disk does not give is tried again, and never removed', async () => {
  const host = await hostWith();
  await host.launch('a');
  await host.node.suspend(id);
  const record = join(host.directory, 'vms', id, 'microvm.json');
  await rename(record, `${record}.kept`);
  await mkdir(record);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true, advanceTimeDelta: 500 });
  expect(await crashed(host)).toMatch(/cannot be read: EISDIR/);
  vi.useRealTimers();
  expect(await files(host, 'vms', id)).toContain('sleep-1');
});

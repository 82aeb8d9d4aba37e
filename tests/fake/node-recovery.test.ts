// A host whose server was killed in the middle of each act: what the next one makes of what it finds.
import { mkdir, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { Fault } from '../../src/lib/errors.ts';
import type { Slot, SlotPool } from '../../src/net/slot.ts';
import { Journal, type JournaledAct } from '../../src/node/journal.ts';
import { ask } from '../support/real-node.ts';
import { closeHosts, committed, type FakeHost, hostWith } from './node-rig.ts';

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  await closeHosts();
});

const id = 'microvm-a';
const never = new Promise<never>(() => {});

const stateOf = (host: FakeHost): string | undefined =>
  host.node.list().find(({ microvmId }) => microvmId === id)?.state;
const count = (host: FakeHost): Promise<number> => ask<number>(host.node, id);
const files = (host: FakeHost, ...names: string[]): Promise<string[]> => readdir(join(host.directory, ...names));

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

async function crashed(host: FakeHost): Promise<string | undefined> {
  await host.crash();
  return host.node.settled(id);
}

/** Nothing but what the host keeps of this MicroVM, in this state. */
async function expectClean(host: FakeHost, state: 'running' | 'asleep' | undefined): Promise<void> {
  expect(stateOf(host)).toBe(state);
  expect(await files(host, 'vms')).toEqual(state ? [id] : []);
  expect(host.driver.machines).toHaveLength(state === 'running' ? 1 : 0);
  expect((await files(host, 'run', 'journal')).length).toBe(state === 'running' ? 1 : 0);
  expect(await files(host, 'run')).toEqual(['journal']);
  expect((await files(host, 'images')).filter((name) => name.includes('.'))).toEqual([]);
  expect(host.node.leftovers()).toEqual([]);
  expect(committed(host)).toBe(state === 'running' ? 513 : 0);
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

test("other people's files outlive a start, and what was being made does not", async () => {
  const host = await hostWith();
  const at = (...names: string[]): string => join(host.directory, ...names);
  const halfMade = ['vms/microvm-h/disk', `images/${crypto.randomUUID()}.work`, 'vms/microvm-r.0123abcd.removed'];
  for (const path of halfMade) await mkdir(at(path), { recursive: true });
  await writeFile(at('vms', 'microvm-h', 'microvm.json.0123abcd.new'), '{');
  const foreign = ['vms/backup/keep', 'vms/lost+found/x', 'vms/notes.removed/x', 'images/photos.work/x'];
  for (const path of foreign) {
    await mkdir(at(path, '..'), { recursive: true });
    await writeFile(at(path), 'x');
  }
  await writeFile(at('vms', 'README'), 'x');
  await writeFile(at('images', 'notes.new'), 'x');
  await mkdir(at('vms', 'elsewhere'));
  await symlink(at('vms', 'elsewhere'), at('vms', 'link'));
  await symlink(at('not-mounted'), at('vms', 'dangling'));
  await writeFile(at('vms', 'elsewhere', 'keep'), 'x');
  await host.crash();
  for (const { microvmId } of host.node.list()) await host.node.settled(microvmId);
  const kept = ['README', 'backup', 'dangling', 'elsewhere', 'link', 'lost+found', 'notes.removed'];
  await expect.poll(() => files(host, 'vms')).toEqual(kept);
  expect((await files(host, 'images')).sort()).toEqual([host.buildId, 'notes.new', 'photos.work'].sort());
  for (const path of [...foreign, 'vms/elsewhere/keep']) expect(await readFile(at(path), 'utf8')).toBe('x');
  expect(host.node.list()).toEqual([]);
});

test('a build that a crash cut off, before or after its image was whole, is built again', async () => {
  const host = await hostWith();
  for (const call of ['boot', 'preload'] as const) {
    const buildId = crypto.randomUUID();
    const { promise: reached, resolve } = Promise.withResolvers<void>();
    host.driver[call] = () => {
      resolve();
      return never;
    };
    void host.build({ buildId });
    await reached;
    await host.crash();
    await host.build({ buildId });
    expect((await files(host, 'images')).sort()).toContain(buildId);
    expect((await files(host, 'images')).filter((name) => name.includes('.'))).toEqual([]);
    expect(await host.node.buildLog(buildId)).toContain('built again');
  }
});

test('others launch, wake and end while one is recovering; what is asked of that one waits', async () => {
  const host = await hostWith();
  await host.launch('a');
  await host.launch('b');
  await host.node.suspend('microvm-b');
  const { promise: gate, resolve: open } = Promise.withResolvers<void>();
  host.holdAdoption = gate;
  await host.crash();
  expect(host.node.list().map(({ state }) => state)).toContain('recovering');
  await host.launch('c');
  await host.node.resume('microvm-b');
  await host.node.terminate('microvm-c');
  expect(stateOf(host)).toBe('recovering');
  expect(await host.node.statistics(id)).toBeUndefined();
  const asked = host.node.suspend(id);
  open();
  await asked;
  expect(stateOf(host)).toBe('asleep');
});

test('an order that is older than one before is refused, over sleeps and crashes', async () => {
  const host = await hostWith();
  await host.node.launch({ microvmId: id, buildId: host.buildId, generation: 3 });
  await host.node.suspend(id, 5);
  const stale = expect.objectContaining({ code: 'conflict', message: expect.stringMatching(/stale.* 4.* 5/) });
  await expect(host.node.resume(id, 4)).rejects.toEqual(stale);
  await crashed(host);
  await expect(host.node.resume(id, 4)).rejects.toEqual(stale);
  await host.node.resume(id, 5);
  await crashed(host);
  await expect(host.node.terminate(id, 4)).rejects.toEqual(stale);
  expect(host.node.list()[0]).toMatchObject({ generation: 5, state: 'running' });
  await host.node.terminate(id, 6);
});

test('slots: that of a VM which runs on is adopted before the others are swept', async () => {
  const events: string[] = [];
  const gone = new Set<number>();
  let next = 0;
  const slot = (index: number): Slot => ({
    ...{ index, namespace: `n${index}`, tap: 't', guestMac: 'm', uid: 0, relay: { host: '127.0.0.1', port: 1 } },
    sentBytes: async () => 0,
    release: async () => void events.push(`release ${index}`),
  });
  const pool = (): SlotPool => ({
    acquire: async () => slot(next++),
    async adopt(index) {
      events.push(`adopt ${index}`);
      if (gone.has(index)) throw new Fault('not_found', { what: 'It is gone.' });
      return slot(index);
    },
    sweep: async () => events.push('sweep'),
    list: () => new Map(),
    discard: async () => false,
    leave: async () => {},
    [Symbol.asyncDispose]: async () => {},
  });
  const host = await hostWith({}, 0, pool);
  await host.launch('a');
  await host.launch('b');
  const [a = 0, b = 0] = [next - 2, next - 1];
  gone.add(b);
  events.length = 0;
  await host.crash();
  expect(await host.node.settled(id)).toBeUndefined();
  expect(await host.node.settled('microvm-b')).toMatch(/network/);
  expect(events.slice(0, 2).sort()).toEqual([`adopt ${a}`, `adopt ${b}`].sort());
  expect(events.filter((event) => event === 'sweep')).toHaveLength(1);
  expect(host.node.list().map(({ microvmId }) => microvmId)).toEqual([id]);
  await host.node.suspend(id);
  expect(events.at(-1)).toBe(`release ${a}`);
});

test('a server that leaves lets MicroVMs run on for the next one', async () => {
  const host = await hostWith();
  await host.launch('a');
  await host.launch('b');
  await host.node.suspend('microvm-b');
  expect(await count(host)).toBe(1);
  expect(await host.leave()).toBe(1);
  expect(await host.node.settled(id)).toBeUndefined();
  expect(await count(host)).toBe(2);
  await host.node.terminate(id);
  await host.node.terminate('microvm-b');
  await expectClean(host, undefined);
});

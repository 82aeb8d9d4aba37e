// A host whose server was killed: its builds, its slots, its other MicroVMs, the order of orders, and a server that leaves on purpose.
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { Fault } from '../../src/lib/errors.ts';
import type { Slot, SlotPool } from '../../src/net/slot.ts';
import { closeHosts, hostWith } from './node-rig.ts';
import { count, crashed, expectClean, files, id, never, stateOf } from './recovery-rig.ts';

afterEach(async () => {
  vi.useRealTimers();
  await closeHosts();
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

test('a VMM that cannot be ended keeps its own MicroVM waiting, and no other', async () => {
  const host = await hostWith();
  for (const name of ['a', 'b']) {
    await host.launch(name);
    await writeFile(join(host.directory, 'run', 'journal', `microvm-${name}.json`), '{');
  }
  host.undying = id;
  await host.crash();
  expect(await host.node.settled('microvm-b')).toMatch(/could not be read/);
  expect(stateOf(host)).toBe('recovering');
  host.undying = undefined;
  await host.clock.advance(1000);
  expect(await host.node.settled(id)).toMatch(/could not be read/);
  await expectClean(host, undefined);
});

test('a VMM that can be neither taken over nor ended keeps no server from stopping', async () => {
  const host = await hostWith();
  await host.launch('a');
  host.undying = id;
  host.holdAdoption = Promise.reject(new Fault('vmm_failed', { what: 'does not answer' }));
  host.holdAdoption.catch(() => {});
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'], shouldAdvanceTime: true, advanceTimeDelta: 500 });
  await host.crash();
  await vi.waitFor(() => expect(host.logged).toContain('not_cleaned'), { timeout: 10_000 });
  await host.node.close();
  host.undying = undefined;
  host.holdAdoption = undefined;
  expect(host.node.leftovers()).toEqual([]);
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

// Fake VMs whose server is killed or lets go of them run on, as real ones do.
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../lib/manual-clock.ts';
import type { Machine } from '../driver.ts';
import { createFakeDriver, type FakeDriver, type FakeDriverOptions } from './fake-driver.ts';
import type { FakeMachine } from './fake-machine.ts';

let directory: string;
let clock: ManualClock;
const drivers: FakeDriver[] = [];
const at = (...names: string[]): string => join(directory, ...names);
const runRoot = (): string => at('run');
const freshness = { machineId: '0'.repeat(32), bootId: '7d0c1f5c-0000-4000-8000-000000000000', hostname: 'vm' };
const never = Symbol();
const settled = (promise: Promise<unknown>): Promise<unknown> =>
  Promise.race([promise, new Promise((resolve) => setTimeout(resolve, 20, never))]);

function newDriver(latencyMs: FakeDriverOptions['latencyMs'] = {}): FakeDriver {
  const driver = createFakeDriver({ clock, latencyMs });
  drivers.push(driver);
  return driver;
}

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wb-orphans-'));
  await mkdir(at('image'));
  clock = new ManualClock();
  const size = { memoryMib: 512, vcpus: 1 };
  const built = await newDriver().boot({ runDirectory: at('run', 'b'), image: at('image'), size, rootDisk: '' });
  const environment = { FAKE_EXIT_AFTER_MS: '60000' };
  await built.guest.start({ argv: ['app'], environment, workingDirectory: '/', user: '', allCapabilities: false });
  await built.saveImage();
});
afterEach(async () => {
  for (const driver of drivers) await driver.sweep(runRoot(), new Set());
  for (const driver of drivers.splice(0)) await driver[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const place = (name: string) => ({ runDirectory: at('run', name), image: at('image'), disks: at(name) });
const launch = (driver: FakeDriver, name = 'vm'): Promise<FakeMachine> => driver.restore({ ...place(name), freshness });
const hooksOf = (machine: Machine): number => (machine as FakeMachine).app.state.hooks.length;

test('a VM whose server was killed is taken over, with what it remembers, and sleeps as before', async () => {
  const first = newDriver();
  const machine = await launch(first);
  await machine.guest.hook(8080, 'run', '{}', 1000);
  await first.crash();
  // Whatever the dead server's code still does reaches nobody.
  await machine.kill();
  const next = newDriver();
  const adopted = await next.adopt(place('vm'));
  if (!adopted) throw new Error('it was not adopted');
  expect([adopted.pid, hooksOf(adopted), await settled(machine.ended)]).toEqual([machine.pid, 1, never]);
  expect(await newDriver().adopt(place('vm'))).toBeUndefined();
  await adopted.suspend(at('snapshot'));
  expect(hooksOf(await next.restore({ ...place('vm'), snapshot: at('snapshot'), freshness }))).toBe(1);
});

test('a VM that was left is taken over; the end of the driver that left it is not its own', async () => {
  const first = newDriver();
  const machine = await launch(first);
  await machine.leave();
  await first[Symbol.asyncDispose]();
  const adopted = await newDriver().adopt(place('vm'));
  expect(await adopted?.guest.listening(8080)).toBe(true);
});

test('a server that is killed while it suspends leaves a VM that goes on', async () => {
  const first = newDriver({ suspend: 100 });
  const machine = await launch(first);
  const suspending = machine.suspend(at('snapshot'));
  await first.crash();
  clock.advance(1000);
  expect(await settled(suspending)).toBe(never);
  expect(existsSync(at('snapshot'))).toBe(false);
  const adopted = await newDriver().adopt(place('vm'));
  expect(await adopted?.guest.hook(8080, 'resume', undefined, 1000)).toBe(200);
});

test('a VM that was still being started is ended, and its start never settles', async () => {
  const first = newDriver({ restore: 100 });
  const starting = launch(first);
  await expect.poll(() => existsSync(at('vm'))).toBe(true);
  await first.crash();
  clock.advance(1000);
  expect(await settled(starting)).toBe(never);
  expect(await newDriver().adopt(place('vm'))).toBeUndefined();
  expect(await newDriver().sweep(runRoot(), new Set())).toEqual([]);
});

test('what ended meanwhile has ended: the VMM is gone, the application says its exit code', async () => {
  const first = newDriver();
  const dies = await launch(first, 'dies');
  await launch(first, 'exits');
  await first.crash();
  await dies.die();
  clock.advance(60_000);
  const next = newDriver();
  expect(await next.adopt(place('dies'))).toBeUndefined();
  const adopted = await next.adopt(place('exits'));
  expect(await adopted?.ended).toMatchObject({ cause: 'application_exited', exitCode: 1 });
});

test('a sweep ends what is not kept', async () => {
  const first = newDriver();
  const [kept, lost] = [await launch(first, 'kept'), await launch(first, 'lost')];
  await first.crash();
  const next = newDriver();
  const own = await launch(next, 'own');
  const swept = await next.sweep(runRoot(), new Set([at('run', 'kept')]));
  expect(swept).toEqual([{ runDirectory: at('run', 'lost'), pid: lost.pid }]);
  expect((await next.adopt(place('kept')))?.pid).toBe(kept.pid);
  expect(await own.guest.listening(8080)).toBe(true);
});

test('a VM whose image cannot be read stays as it is', async () => {
  const first = newDriver();
  const machine = await launch(first);
  await first.crash();
  const next = newDriver();
  await expect(next.adopt({ ...place('vm'), image: at('nothing') })).rejects.toThrow('missing');
  expect((await next.adopt(place('vm')))?.pid).toBe(machine.pid);
});

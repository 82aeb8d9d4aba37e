// The fake driver keeps the rules of a VM: what survives, what may be called when, what a failure leaves.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../lib/manual-clock.ts';
import { openSealed, sealJson } from '../../lib/sealed-json.ts';
import { createFakeDriver } from './fake-driver.ts';
import type { FakeMachine } from './fake-machine.ts';

let directory: string;
let clock: ManualClock;
let driver: ReturnType<typeof createFakeDriver>;
const freshness = { machineId: '0'.repeat(32), bootId: '7d0c1f5c-0000-4000-8000-000000000000', hostname: 'vm' };
const at = (...names: string[]): string => join(directory, ...names);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'wb-fake-'));
  await mkdir(at('image'));
  clock = new ManualClock();
  driver = createFakeDriver({ clock });
});
afterEach(async () => {
  await driver[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

async function boot(environment: Record<string, string> = {}, signal?: AbortSignal): Promise<FakeMachine> {
  await mkdir(at('run'), { recursive: true });
  const order = { runDirectory: at('run'), image: at('image'), size: { memoryMib: 512, vcpus: 1 }, rootDisk: '' };
  const machine = await driver.boot({ ...order, ...(signal ? { signal } : {}) });
  const plan = { argv: ['app'], environment, workingDirectory: '/', user: '', allCapabilities: false };
  await machine.guest.start(plan);
  return machine;
}

async function restore(snapshot?: string): Promise<FakeMachine> {
  await mkdir(at('run'), { recursive: true });
  const order = { runDirectory: at('run'), image: at('image'), disks: at('disks'), freshness };
  return driver.restore({ ...order, ...(snapshot ? { snapshot } : {}) });
}

/** Builds an image and launches a VM of it. */
async function launch(environment: Record<string, string> = {}): Promise<FakeMachine> {
  await (await boot(environment)).saveImage();
  return restore();
}

async function ask(machine: FakeMachine, path: string, body?: string, stream?: Duplex): Promise<string> {
  const connection = stream ?? (await machine.guest.open(8080));
  const question = request({ path, method: body === undefined ? 'GET' : 'POST', createConnection: () => connection });
  question.end(body);
  const [answer] = await once(question, 'response');
  // The VM may end, and the connection with it, before it is given back.
  question.on('error', () => {});
  return text(answer);
}

test('the counter goes on over suspend and resume, and every launch starts where the image was', async () => {
  const built = await boot();
  expect(await ask(built, '/')).toBe('1\n');
  const sizes = await built.saveImage();
  expect(sizes.memoryBytes).toBeGreaterThan(0);
  const first = await restore();
  expect([await ask(first, '/'), await ask(first, '/')]).toEqual(['2\n', '3\n']);
  const { bytes } = await first.suspend(at('snapshot'));
  expect(bytes).toBeGreaterThan(0);
  expect(await ask(await restore(at('snapshot')), '/')).toBe('4\n');
  expect(await ask(await restore(), '/')).toBe('2\n');
});

test('a restored VM has its own identity and says what was repaired', async () => {
  const machine = await launch();
  expect(machine.repaired).toContain('machine-id');
  expect(Object.keys(machine.stages)).toEqual(['prepare', 'load', 'freshen']);
  expect(JSON.parse(await ask(machine, '/identity'))).toEqual(freshness);
  expect(await ask(machine, '/echo', 'hello')).toBe('hello');
});

test('hooks answer as the script says and are remembered', async () => {
  const machine = await launch({ FAKE_RUN_STATUS: '500', FAKE_READY_AFTER: '2' });
  const { guest } = machine;
  expect(await guest.hook(8080, 'run', '{"a":1}', 1000)).toBe(500);
  const ready = [1, 2, 3].map(() => guest.hook(8080, 'ready', undefined, 1000));
  expect(await Promise.all(ready)).toEqual([503, 503, 200]);
  expect(await guest.hook(8080, 'resume', undefined, 1000)).toBe(200);
  const hooks: unknown[] = JSON.parse(await ask(machine, '/hooks'));
  expect(hooks[0]).toEqual({ name: 'run', body: '{"a":1}', status: 500 });
  expect(hooks).toHaveLength(5);
  await ask(machine, '/aws/lambda-microvms/runtime/v1/suspend', 'x');
  expect(machine.app.state.hooks.at(-1)).toEqual({ name: 'suspend', body: 'x', status: 200 });
});

test('a hook that takes longer than its deadline', async () => {
  const machine = await launch({ FAKE_RUN_MS: '5000' });
  const late = expect(machine.guest.hook(8080, 'run', undefined, 1000)).rejects.toMatchObject({
    code: 'deadline_exceeded',
  });
  await clock.advance(1000);
  await late;
  const inTime = machine.guest.hook(8080, 'run', undefined, 6000);
  await clock.advance(5000);
  expect(await inTime).toBe(200);
});

test('an application that never listens', async () => {
  const { guest } = await launch({ FAKE_NEVER_LISTEN: '1' });
  expect(await guest.listening(8080)).toBe(false);
  await expect(guest.open(8080)).rejects.toMatchObject({ code: 'guest_failed' });
  await expect(guest.hook(8080, 'run', undefined, 1000)).rejects.toMatchObject({ code: 'guest_failed' });
});

test('an application that exits ends the VM with its code and last words', async () => {
  const machine = await launch({ FAKE_EXIT_AFTER_MS: '2000', FAKE_EXIT_CODE: '3' });
  const stream = await machine.guest.open(8080);
  const closed = expect(once(stream, 'close')).rejects.toMatchObject({ code: 'guest_failed' });
  await clock.advance(2000);
  await closed;
  const end = await machine.ended;
  expect(end).toMatchObject({ cause: 'application_exited', exitCode: 3 });
  expect(end.consoleTail).toContain('listening on 8080');
  expect(existsSync(at('run'))).toBe(false);
});

test.each([
  ['the VMM dies', (machine: FakeMachine) => machine.die(), 'vmm_died'],
  ['the guest panics', (machine: FakeMachine) => machine.panic(), 'guest_crashed'],
  ['it is killed', (machine: FakeMachine) => machine.kill(), 'requested'],
])('when %s, open questions fail and the first cause counts', async (_, end, cause) => {
  const machine = await launch({ FAKE_RUN_MS: '5000' });
  const hook = expect(machine.guest.hook(8080, 'run', undefined, 9000)).rejects.toMatchObject({ code: 'guest_failed' });
  await end(machine);
  await hook;
  await machine.kill();
  expect((await machine.ended).cause).toBe(cause);
  expect(driver.machines).toEqual([]);
  await expect(machine.guest.open(8080)).rejects.toMatchObject({ code: 'guest_failed' });
  await expect(machine.suspend(at('late'))).rejects.toMatchObject({ code: 'conflict' });
  await expect(machine.statistics()).rejects.toMatchObject({ code: 'vmm_failed' });
});

test('what is not legal is refused: images of restored VMs, snapshots of booted ones, two suspends, two starts', async () => {
  const built = await boot();
  await expect(built.suspend(at('snapshot'))).rejects.toMatchObject({ code: 'internal' });
  const plan = { argv: ['app'], environment: {}, workingDirectory: '/', user: '', allCapabilities: false };
  await expect(built.guest.start(plan)).rejects.toMatchObject({ code: 'guest_failed' });
  await built.saveImage();
  const machine = await restore();
  await expect(machine.saveImage()).rejects.toMatchObject({ code: 'internal' });
  const both = await Promise.allSettled([machine.suspend(at('a')), machine.suspend(at('b'))]);
  expect(both.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect(existsSync(at('b'))).toBe(false);
});

test('a suspend that fails leaves nothing behind and the VM running', async () => {
  const machine = await launch({ FAKE_SUSPEND_FAILS: '1' });
  await ask(machine, '/');
  await expect(machine.suspend(at('snapshot'))).rejects.toMatchObject({ code: 'vmm_failed' });
  await expect(machine.suspend(at('missing', 'snapshot'))).rejects.toMatchObject({ code: 'ENOENT' });
  await mkdir(at('taken', 'already'), { recursive: true });
  await expect(machine.suspend(at('taken'))).rejects.toMatchObject({ code: 'ENOTEMPTY' });
  expect((await readdir(directory)).sort()).toEqual(['disks', 'image', 'run', 'taken']);
  expect(await ask(machine, '/')).toBe('2\n');
  await machine.suspend(at('snapshot'));
  expect((await machine.ended).cause).toBe('requested');
});

test('while it is suspended nothing is answered; a request in that time is answered after a failure', async () => {
  driver = createFakeDriver({ clock, latencyMs: { suspend: 100 } });
  const machine = await launchSlow({ FAKE_SUSPEND_FAILS: '1' });
  const before: Duplex = await machine.guest.open(8080);
  const closed = new Promise((resolve) => before.once('close', resolve));
  const failure = expect(machine.suspend(at('snapshot'))).rejects.toMatchObject({ code: 'vmm_failed' });
  await closed;
  const asked = ask(machine, '/', undefined, await machine.guest.open(8080));
  await clock.advance(50);
  expect(machine.app.state.count).toBe(0);
  await clock.advance(50);
  await failure;
  expect(await asked).toBe('1\n');
});

async function launchSlow(environment: Record<string, string>): Promise<FakeMachine> {
  const saved = (await boot(environment)).saveImage();
  await clock.advance(100);
  await saved;
  return restore();
}

test('a damaged snapshot is refused by the name of the file, and nothing runs', async () => {
  const machine = await launch();
  await machine.suspend(at('snapshot'));
  const state = at('snapshot', 'state.json');
  const good = await readFile(state, 'utf8');
  const refused = (file: string) => ({ code: 'snapshot_corrupt', facts: { file } });
  await writeFile(state, good.replace('"count":0', '"count":9'));
  await expect(restore(at('snapshot'))).rejects.toMatchObject(refused(state));
  await writeFile(state, good.slice(1));
  await expect(restore(at('snapshot'))).rejects.toMatchObject(refused(state));
  await rm(state);
  await expect(restore(at('snapshot'))).rejects.toMatchObject(refused(state));
  await writeFile(state, good);
  await appendFile(at('snapshot', 'manifest.json'), '}');
  await expect(restore(at('snapshot'))).rejects.toMatchObject(refused(at('snapshot', 'manifest.json')));
  await expect(restore(at('nothing'))).rejects.toMatchObject(refused(at('nothing', 'manifest.json')));
  expect(driver.machines).toEqual([]);
  expect(existsSync(at('run'))).toBe(false);
});

test('a snapshot belongs to its image, and to this driver', async () => {
  await (await launch()).suspend(at('snapshot'));
  await (await boot({ OTHER: '1' })).saveImage();
  await expect(restore(at('snapshot'))).rejects.toMatchObject({ code: 'snapshot_corrupt' });
  const manifest = at('image', 'manifest.json');
  const text = openSealed(await readFile(manifest, 'utf8'));
  await writeFile(manifest, sealJson(JSON.parse(text.replace('"fake"', '"qemu"'))));
  await expect(restore()).rejects.toMatchObject({ code: 'snapshot_incompatible', facts: { needed: 'qemu' } });
});

test('a restore that fails by script, and a boot that is cancelled', async () => {
  await (await boot({ FAKE_RESTORE_FAILS: '1' })).saveImage();
  await expect(restore()).rejects.toMatchObject({ code: 'vmm_failed' });
  driver = createFakeDriver({ clock, latencyMs: { boot: 1000 } });
  const cancel = new AbortController();
  const cancelled = expect(boot({}, cancel.signal)).rejects.toMatchObject({ code: 'aborted' });
  await clock.advance(500);
  cancel.abort();
  await cancelled;
  expect(driver.machines).toEqual([]);
});

test('an upgraded connection carries bytes both ways until the VM ends', async () => {
  const machine = await launch();
  const stream = await machine.guest.open(8080);
  const question = request({
    path: '/',
    headers: { connection: 'Upgrade', upgrade: 'echo' },
    createConnection: () => stream,
  }).end();
  const [, upgraded] = (await once(question, 'upgrade')) as [unknown, Duplex];
  upgraded.write('ping');
  const [answer] = await once(upgraded, 'data');
  expect(`${answer}`).toBe('ping');
  const closed = expect(once(upgraded, 'close')).rejects.toMatchObject({ code: 'guest_failed' });
  await machine.die();
  await closed;
});

test('layers are merged from the wished number on; until then, and when aborted, the old snapshot stays', async () => {
  await (await launch()).suspend(at('s1'));
  const order = { image: at('image'), disks: at('disks'), from: 2, signal: new AbortController().signal };
  expect(await driver.compact({ ...order, snapshot: at('s1'), target: at('s2') })).toBe(false);
  await (await restore(at('s1'))).suspend(at('s2'));
  const aborted = { ...order, snapshot: at('s2'), target: at('s3'), signal: AbortSignal.abort() };
  await expect(driver.compact(aborted)).rejects.toMatchObject({ code: 'aborted' });
  expect([existsSync(at('s3')), (await readdir(at('disks'))).length]).toEqual([false, 2]);
  expect(await driver.compact({ ...order, snapshot: at('s2'), target: at('s3') })).toBe(true);
  expect(await readdir(at('disks'))).toHaveLength(1);
  await rm(at('s2'), { recursive: true });
  expect(await ask(await restore(at('s3')), '/')).toBe('1\n');
  expect(await readdir(at('disks'))).toHaveLength(2);
});

// What is kept of a real image and of a sleeping MicroVM: a bit that flips anywhere is found, by name.
import { cp, mkdtemp, readdir, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { makeBackup } from '../../src/backup/make-backup.ts';
import { restoreBackup } from '../../src/backup/restore-backup.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createQemuDriver } from '../../src/vmm/qemu/qemu-driver.ts';
import { flipBit } from '../support/flip.ts';
import { projectZip, toolkitDirectory as wholeToolkit } from '../support/real-node.ts';
import { scrubbed } from '../support/scrub.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { vmmsOf } from '../support/vmms.ts';

// Each wait has a deadline of its own; on a busy machine all of them together take minutes.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 600_000 });
const idlePolicy = { maxIdleDurationSeconds: 600, suspendedDurationSeconds: 6000, autoResumeEnabled: true };
/** What is begun is ended with the file, whatever a test came to. */
const stack = new AsyncDisposableStack();
let it: TestServer;
let toolkit: string;
let vm: { id: string; endpoint: string; token: Record<string, string> };
let image: string;
beforeAll(async () => {
  // A toolkit of our own: one file after the other is damaged.
  toolkit = await directoryOf('toolkit');
  for (const name of ['guest', 'bin']) await cp(join(wholeToolkit, name), join(toolkit, name), { recursive: true });
  await symlink(join(wholeToolkit, 'containers'), join(toolkit, 'containers'));
  it = await serverOn({ toolkitDirectory: toolkit });
  const { imageArn, state } = await it.build('state', await projectZip('state'));
  expect(state).toBe('SUCCESSFUL');
  vm = await it.run(imageArn, { idlePolicy });
  await it.until(vm.id, 'RUNNING');
  expect((await ask()).count).toBe(1);
  await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
  await it.until(vm.id, 'SUSPENDED');
  const [buildId = ''] = await readdir(join(it.data, 'images'));
  image = join(it.data, 'images', buildId);
});
afterAll(() => stack.disposeAsync());

async function directoryOf(name: string): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), `waterbear-${name}-`));
  stack.defer(() => rm(path, { recursive: true, force: true }));
  return path;
}

async function serverOn(options: Parameters<typeof startTestServer>[0]): Promise<TestServer> {
  const server = await startTestServer(options);
  stack.defer(async () => {
    await server.close();
    expect(vmmsOf(server.data), 'VMMs left').toEqual([]);
  });
  return server;
}

async function ask(): Promise<{ count: number }> {
  const answer = await it.get(vm.endpoint, vm.token);
  expect(answer.status, JSON.stringify(answer.headers)).toBe(200);
  return JSON.parse(answer.body) as { count: number };
}

test('one pass of the scrubber finds a flipped bit in each file, and nothing when all are whole', async () => {
  const clean = await scrubbed(it.data);
  expect(clean.damage).toEqual([]);
  const asleep = join(it.data, 'vms', vm.id);
  const files = [
    ...['manifest.json', 'memory.pages', 'device-state', 'root.qcow2', 'init.qcow2', 'empty.qcow2', 'image.json'].map(
      (name) => join(image, name),
    ),
    ...['manifest.json', 'memory.pages', 'device-state'].map((name) => join(asleep, 'sleep-1', name)),
    ...['microvm.json', 'disk/layer-1.qcow2'].map((name) => join(asleep, name)),
    ...['vmlinuz', 'initramfs', 'release'].map((name) => join(toolkit, 'guest', name)),
    ...['launch', 'seal', 'builder'].map((name) => join(toolkit, 'bin', name)),
    join(it.data, 'keys', 'tokens.json'),
  ];
  for (const [index, file] of files.entries()) {
    const mend = await flipBit(file, 0.05 + (0.9 * index) / files.length);
    expect((await scrubbed(it.data)).damage).toEqual([expect.objectContaining({ file })]);
    await mend();
  }
  expect((await scrubbed(it.data)).damage).toEqual([]);
});

test('a MicroVM of which the scrubber has found something damaged wakes with its state once that was put right', async () => {
  const layer = join(it.data, 'vms', vm.id, 'disk', 'layer-1.qcow2');
  const mend = await flipBit(layer);
  await scrubbed(it.data);
  // The bytes are whole again, but nobody has looked.
  await mend();
  expect((await it.get(vm.endpoint, vm.token)).status).toBeGreaterThanOrEqual(500);
  const { stateReason } = await it.lambda.getMicrovm({ microvmIdentifier: vm.id });
  expect(stateReason).toContain(`${layer} is damaged`);
  expect((await scrubbed(it.data)).damage).toEqual([]);
  expect((await ask()).count).toBe(2);
  await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
  await it.until(vm.id, 'SUSPENDED');
});

test('a backup that was taken while the server runs wakes elsewhere with its state, and so does the original', async () => {
  const place = await directoryOf('backup');
  const [target, dataDirectory] = [join(place, 'backup'), join(place, 'data')];
  const common = { nowMs: Date.now(), now: Date.now, onProgress: () => {}, signal: new AbortController().signal };
  const made = await makeBackup({ ...common, dataDirectory: it.data, target, version: '0' });
  expect(made).toMatchObject({ asleep: 1, old: [], missing: [], leftOut: [] });
  const restored = await restoreBackup({ ...common, backup: target, dataDirectory });
  expect(restored).toMatchObject({ asleep: [vm.id], ended: [] });
  const other = await serverOn({ dataDirectory, toolkitDirectory: toolkit, existing: true });
  expect((await scrubbed(dataDirectory)).damage).toEqual([]);
  const { endpoint = '' } = await other.lambda.getMicrovm({ microvmIdentifier: vm.id });
  const { body } = await other.get(endpoint, vm.token);
  expect(JSON.parse(body).count).toBe(3);
  expect((await ask()).count).toBe(3);
});

test('a damaged kernel or first file system is not booted', async () => {
  const directories = { guestDirectory: join(toolkit, 'guest'), toolDirectory: join(toolkit, 'bin') };
  await using driver = await createQemuDriver({
    ...{ accelerator: 'tcg', instance: 'kept', clock: systemClock },
    ...directories,
  });
  for (const name of ['vmlinuz', 'initramfs']) {
    const mend = await flipBit(join(toolkit, 'guest', name));
    const work = join(toolkit, 'work');
    const order = { runDirectory: join(work, 'run'), image: join(work, 'image'), size: { memoryMib: 512, vcpus: 1 } };
    await expect(driver.boot({ ...order, rootDisk: '' })).rejects.toMatchObject({
      code: 'toolkit_damaged',
      facts: { file: join(toolkit, 'guest', name) },
    });
    await mend();
  }
});

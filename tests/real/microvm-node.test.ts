// MicroVMs of one image on one host, without API and gateway: what they keep, what makes them different, what is refused.
import { readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, buildOrder, projectZip, type RealNode, startRealNode } from '../support/real-node.ts';

interface State {
  count: number;
  buffer: string;
  file: string;
  fileBytes: number;
  time: number;
  machineId: string;
  bootId: string;
  hostname: string;
}
interface Sample {
  random: string;
  time: number;
  machineId: string;
  bootId: string;
  hostname: string;
}

let host: RealNode;
const order = { buildId: '' };
let log = '';

beforeAll(async () => {
  host = await startRealNode();
  const archivePath = join(host.directory, 'state.zip');
  await writeFile(archivePath, await projectZip('state'));
  const build = buildOrder(archivePath);
  order.buildId = build.buildId;
  const outcome = await host.node.build(build, (text) => {
    log += text;
  });
  expect(outcome.memorySnapshotBytes).toBeGreaterThan(10 << 20);
});
afterAll(() => host?.close());

const launch = async (name: string): Promise<string> => {
  const microvmId = `microvm-${name}`;
  const report = await host.node.launch({ microvmId, buildId: order.buildId });
  expect(report.repaired.sort()).toEqual(['boot-id', 'clock', 'entropy', 'hostname', 'machine-id', 'sockets']);
  expect(report.accelerator).toBe('tcg');
  return microvmId;
};

test('the build log shows the container build and is kept', async () => {
  expect(log).toContain('COPY app.py');
  expect(await host.node.buildLog(order.buildId)).toContain('taking the snapshot');
});

test('two MicroVMs of one image are different from the first instruction on', async () => {
  const names = [await launch('a'), await launch('b')];
  const [first = 0] = await Promise.all(
    names.map(async (name) => (await ask<Sample[]>(host.node, name, '/samples')).length),
  );
  const enough = async (name: string): Promise<Sample[]> => {
    for (;;) {
      const samples = await ask<Sample[]>(host.node, name, '/samples');
      if (samples.length > first + 5) return samples;
    }
  };
  const [a = [], b = []] = await Promise.all(names.map(enough));
  const shared = a.filter((sample) => b.some((other) => other.random === sample.random)).length;
  expect(shared).toBeGreaterThan(0);
  // The sample that was being taken when the image was frozen may be half old; every later one is the clone's own.
  for (const samples of [a, b]) expect(samples.length).toBeGreaterThan(shared + 1);
  const [fresh, other] = [a.slice(shared + 1), b.slice(shared + 1)];
  for (const key of ['random', 'machineId', 'bootId', 'hostname'] as const) {
    const values = new Set(fresh.map((sample) => sample[key]));
    const before = new Set(a.slice(0, shared).map((sample) => sample[key]));
    for (const sample of other) expect(values.has(sample[key])).toBe(false);
    for (const value of values) expect(before.has(value)).toBe(false);
    if (key !== 'random') expect(values.size).toBe(1);
  }
  for (const name of names) await host.node.terminate(name);
});

test('memory and disk survive sleep after sleep, and the clock is right after each', async () => {
  const name = await launch('sleeper');
  let state = await ask<State>(host.node, name, '/', 'first');
  const identity = { machineId: state.machineId, bootId: state.bootId, hostname: state.hostname };
  const disks = join(host.directory, 'vms', name, 'disk');
  for (let round = 1; round <= 8; round++) {
    const asleep = await host.node.suspend(name);
    expect(asleep.asleepBytes).toBeLessThan(40 << 20);
    expect(host.node.list().find((vm) => vm.microvmId === name)?.state).toBe('asleep');
    // With six layers they are merged while it sleeps; what is read from then on comes from the merged one.
    if (round === 6) await expect.poll(async () => (await readdir(disks)).length, { timeout: 20_000 }).toBe(1);
    await host.node.resume(name);
    const before = Date.now();
    const woken = await ask<State>(host.node, name);
    expect(woken.time * 1000).toBeGreaterThan(before - 1000);
    expect(woken.time * 1000).toBeLessThan(Date.now() + 1000);
    expect(woken).toMatchObject({ count: state.count + 1, buffer: state.buffer, file: state.file, ...identity });
    state = await ask<State>(host.node, name, '/', `round ${round}`);
    expect(state.fileBytes).toBeGreaterThan(50_000 * (round + 1));
  }
  await host.node.terminate(name);
  expect(await readdir(join(host.directory, 'vms'))).not.toContain(name);
});

test('a new server on the same data directory finds the sleeping MicroVM', async () => {
  const name = await launch('kept');
  const state = await ask<State>(host.node, name, '/', 'x');
  expect((await host.node.statistics(name))?.residentBytes).toBeGreaterThan(10 << 20);
  await host.node.suspend(name);
  expect(await host.node.statistics(name)).toBeUndefined();
  await host.restart();
  await host.node.settled(name);
  expect(host.node.list()).toMatchObject([{ microvmId: name, buildId: order.buildId, state: 'asleep', snapshot: 1 }]);
  await host.node.resume(name);
  expect(await ask<State>(host.node, name)).toMatchObject({
    count: state.count + 1,
    buffer: state.buffer,
    file: state.file,
  });
  await host.node.terminate(name);
});

test('a VMM that is killed is reported with a reason, and nothing of it stays', async () => {
  const name = await launch('killed');
  const ended = new Promise<{ id: string; what: string; cause: string }>((resolve) =>
    host.node.onEnded((id, reason) => resolve({ id, ...reason })),
  );
  const pid = await vmmOf(name);
  process.kill(pid, 'SIGKILL');
  expect(await ended).toMatchObject({ id: name, cause: 'vmm_died', what: expect.stringContaining('SIGKILL') });
  expect(host.node.list().map((vm) => vm.microvmId)).not.toContain(name);
});

async function vmmOf(name: string): Promise<number> {
  for (const pid of await readdir('/proc')) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes('qemu') && command.includes(`/${name.slice(-12)}/`)) return Number(pid);
  }
  throw new Error(`no VMM of ${name}`);
}

test('damaged files are refused by name', async () => {
  const name = await launch('broken');
  await host.node.suspend(name);
  const directory = join(host.directory, 'vms', name, 'sleep-1');
  const damage = async (path: string): Promise<() => Promise<void>> => {
    const good = await readFile(path);
    const bad = Buffer.from(good);
    const middle = Math.floor(bad.length / 2);
    bad[middle] = (bad[middle] ?? 0) ^ 1;
    await writeFile(path, bad);
    return () => writeFile(path, good);
  };
  for (const file of ['memory.pages', 'device-state', '../disk/layer-1.qcow2']) {
    const path = join(directory, file);
    const restore = await damage(path);
    await expect(host.node.resume(name)).rejects.toMatchObject({ code: 'snapshot_corrupt', facts: { file: path } });
    await restore();
  }
  await host.node.resume(name);
  await host.node.suspend(name);
  await truncate(join(host.directory, 'vms', name, 'sleep-2', 'manifest.json'), 100);
  await expect(host.node.resume(name)).rejects.toThrow('manifest.json');
  await host.node.terminate(name);
});

test('a damaged image is refused by name', async () => {
  await host.restart();
  const image = join(host.directory, 'images', order.buildId);
  for (const file of ['memory.pages', 'root.qcow2', 'init.qcow2', 'device-state']) {
    const path = join(image, file);
    const good = await readFile(path);
    const bad = Buffer.from(good);
    bad[bad.length - 5000] = (bad[bad.length - 5000] ?? 0) ^ 1;
    await writeFile(path, bad);
    const launched = host.node.launch({ microvmId: 'microvm-never', buildId: order.buildId });
    await expect(launched).rejects.toMatchObject({ code: 'snapshot_corrupt', facts: { file: path } });
    expect(host.node.list()).toEqual([]);
    await writeFile(path, good);
  }
  await host.node.terminate(await launch('good-again'));
});

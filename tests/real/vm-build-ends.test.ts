// Ends that nobody planned: a server that is killed in the middle of a build, and a builder VM that hands over no file system.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { buildImage } from '../../src/build/build-image.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createQemuDriver } from '../../src/vmm/qemu/qemu-driver.ts';
import { buildOrder, startRealNode, toolkitDirectory } from '../support/real-node.ts';
import { vmmsOf } from '../support/vmms.ts';
import { zipOf } from '../support/zip.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 60_000 });
let data = '';
beforeEach(() => {
  data = mkdtempSync(join(tmpdir(), 'waterbear-ends-'));
});
afterEach(() => rmSync(data, { recursive: true, force: true }));

test('a server that is killed leaves nothing of its build after the next start', async () => {
  const dockerfile = 'FROM localhost/waterbear/debian:12\nRUN sleep 100000\nCMD x';
  writeFileSync(join(data, 'slow.zip'), zipOf([{ name: 'Dockerfile', data: dockerfile }]));
  const program = `
    const { buildOrder, startRealNode } = await import(${JSON.stringify(resolve(import.meta.dirname, '../support/real-node.ts'))});
    const { node } = await startRealNode({ buildIsolation: 'vm', dataDirectory: ${JSON.stringify(data)} });
    await node.build(buildOrder(${JSON.stringify(join(data, 'slow.zip'))}), () => {});`;
  const server = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'inherit', 'inherit'],
    // What it leaves there goes with the rest.
    env: { ...process.env, TMPDIR: data },
  });
  const logs = (): string[] => (existsSync(join(data, 'logs')) ? readdirSync(join(data, 'logs')) : []);
  const log = (): string =>
    logs()
      .map((name) => readFileSync(join(data, 'logs', name), 'utf8'))
      .join('');
  try {
    await expect.poll(log, { timeout: 300_000, interval: 200 }).toContain('RUN sleep');
  } finally {
    server.kill('SIGKILL');
  }
  expect(vmmsOf(data)).toHaveLength(1);
  expect(readdirSync(join(data, 'images'))).toHaveLength(2);
  const next = await startRealNode({ buildIsolation: 'vm', dataDirectory: data });
  try {
    await expect.poll(() => vmmsOf(data), { timeout: 10_000 }).toEqual([]);
    await expect.poll(() => readdirSync(join(data, 'images')), { timeout: 10_000 }).toEqual([]);
    expect(readdirSync(join(data, 'build-cache'))).toEqual([]);
  } finally {
    await next.close();
  }
});

test('a host that closes in the middle of a build ends it first', async () => {
  const archive = join(data, 'slow.zip');
  writeFileSync(
    archive,
    zipOf([{ name: 'Dockerfile', data: 'FROM localhost/waterbear/debian:12\nRUN sleep 100000\nCMD x' }]),
  );
  const host = await startRealNode({ buildIsolation: 'vm', dataDirectory: data });
  const ended = host.node.build(buildOrder(archive), () => {}).catch((error: unknown) => error);
  await expect.poll(() => vmmsOf(data), { timeout: 60_000 }).toHaveLength(1);
  await host.close();
  expect(vmmsOf(data)).toEqual([]);
  expect(await ended).toMatchObject({ code: 'aborted' });
  expect(readdirSync(join(data, 'images'))).toEqual([]);
});

test.each([
  ['garbage', Buffer.alloc(8 << 20, 'garbage')],
  ['nothing', Buffer.alloc(0)],
])('a root disk that holds %s is a failed build that says so', async (_, bytes) => {
  const toolkit = (name: string): string => join(toolkitDirectory, name);
  const tools = { guestDirectory: toolkit('guest'), toolDirectory: toolkit('bin'), instance: 'ends' };
  await using driver = await createQemuDriver({ ...tools, accelerator: 'tcg', clock: systemClock });
  const rootDisk = join(data, 'root.ext4');
  writeFileSync(rootDisk, bytes);
  const plan = { argv: ['x'], environment: {}, workingDirectory: '/', user: '', allCapabilities: false };
  const builder = { build: async () => ({ rootDisk, plan, codeInstallBytes: 1 }) };
  mkdirSync(join(data, 'images'));
  const readiness = { graceMs: 100, intervalMs: 10 };
  const runDirectory = `/run/wb-ends-${process.pid}`;
  const how = { builder, driver, slots: undefined, runStepsOnline: false, readiness, runDirectory };
  const order = buildOrder('unused', { memoryMib: 256 });
  await expect(buildImage(how, order, join(data, 'images', 'x'), () => {})).rejects.toMatchObject({
    code: 'build_failed',
    message: expect.stringMatching(/root disk/),
  });
  expect(readdirSync(join(data, 'images'))).toEqual([]);
  expect(existsSync(runDirectory)).toBe(false);
});

// How much memory a host offers: the machine, or the smallest limit above us, minus a reserve.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { hostReserveMib, offeredMemoryMib } from './host-memory.ts';

const gib = 2 ** 30;
let root = '';
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'waterbear-memory-'));
});
afterEach(() => rm(root, { recursive: true }));

async function files(contents: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(contents)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
}

test('the reserve is 1 GiB or a tenth, of a small machine a quarter', () => {
  expect([2048, 8192, 65_536].map(hostReserveMib)).toEqual([512, 1024, 6554]);
});

test('without a limit the machine counts', async () => {
  expect(await offeredMemoryMib(16 * gib, root)).toBe(16_384 - 1639);
});

test('the smallest limit on the way up counts, in cgroup v2', async () => {
  await files({
    'proc/self/cgroup': '0::/system/server\n',
    'sys/fs/cgroup/system/server/memory.max': 'max\n',
    'sys/fs/cgroup/system/memory.max': `${8 * gib}\n`,
  });
  expect(await offeredMemoryMib(16 * gib, root)).toBe(8192 - 1024);
});

test('and in cgroup v1, also when the path is that of another namespace', async () => {
  await files({
    'proc/self/cgroup': '5:cpu,cpuacct:/x\n4:memory:/docker/0123\n0::/\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': `${4 * gib}\n`,
  });
  expect(await offeredMemoryMib(16 * gib, root)).toBe(4096 - 1024);
  await files({ 'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n' });
  expect(await offeredMemoryMib(16 * gib, root)).toBe(16_384 - 1639);
});

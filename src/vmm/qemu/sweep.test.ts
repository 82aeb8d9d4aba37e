// A process that does not end is told of; what is left of all others goes all the same.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { CgroupTree } from '../cgroup/cgroup-tree.ts';
import { markedProcess } from './process-identity.ts';
import { type SweepParts, sweepVmms } from './sweep.ts';

let root: string;
const children: ChildProcess[] = [];
const kept: string[] = [];
const cgroups = {
  sweep: async (keep: (owner: string) => boolean) => {
    kept.push(...['stuck', 'other'].filter(keep));
    return [];
  },
} as unknown as CgroupTree;
const parts: SweepParts = {
  ...{ cgroups, pids: new Set(), directories: new Set(), keep: () => false, dryRun: false, patienceMs: 100 },
};

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'wb-sweep-'));
  await copyFile('/bin/sh', join(root, 'launch'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  for (const child of children.splice(0)) child.kill('SIGKILL');
  await rm(root, { recursive: true });
});

/** With the marks of a launcher, and a run directory. */
async function vmm(name: string): Promise<number> {
  const directory = join(root, 'run', name);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'vmm.json'), '{}');
  const child = spawn(join(root, 'launch'), ['-c', 'read x', `root=${directory}`], { stdio: 'pipe' });
  children.push(child);
  await once(child, 'spawn');
  await vi.waitFor(async () => expect((await markedProcess(child.pid ?? 0))?.runDirectory).toBe(directory));
  return child.pid ?? 0;
}

test('a VMM that cannot be ended is told of, and all others go', async () => {
  const [stuck, other] = [await vmm('stuck'), await vmm('other')];
  const kill = process.kill.bind(process);
  vi.spyOn(process, 'kill').mockImplementation((pid, signal) => pid === stuck || kill(pid, signal));
  const sweep = (): Promise<unknown> => sweepVmms(join(root, 'run'), parts);
  const message = expect.stringContaining(join(root, 'run', 'stuck'));
  await expect(sweep()).rejects.toMatchObject({ code: 'deadline_exceeded', message });
  expect(await readdir(join(root, 'run'))).toEqual(['stuck']);
  expect(kept).toEqual(['stuck']);
  expect(await markedProcess(other)).toBeUndefined();
  vi.restoreAllMocks();
  expect(await sweep()).toEqual([{ pid: stuck, runDirectory: join(root, 'run', 'stuck') }]);
  expect(await readdir(join(root, 'run'))).toEqual([]);
});

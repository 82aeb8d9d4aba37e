// Groups of an earlier server: not touched when the next one opens the tree, adopted by name, ended by a sweep with all that lives in them.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { openCgroupTree } from '../../src/vmm/cgroup/cgroup-tree.ts';

const limits = { memoryBytes: 64 << 20, pids: 10 };
const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function sleeper(): ChildProcess & { pid: number } {
  const child = spawn('sleep', ['60']);
  children.push(child);
  return child as ChildProcess & { pid: number };
}

test('a tree that is opened again keeps what lives in it until it is swept', async () => {
  const instance = 'f0f0f';
  const first = await openCgroupTree({ instance });
  const [kept, lost] = [await first.create('kept-vm', limits), await first.create('lost', limits)];
  const [survivor, victim] = [sleeper(), sleeper()];
  await kept.join(survivor.pid);
  await lost.join(victim.pid);
  const next = await openCgroupTree({ instance });
  const own = await next.create('kept-vm', limits);
  expect(own.name).not.toBe(kept.name);
  expect([survivor.signalCode, victim.signalCode]).toEqual([null, null]);
  const ended = once(victim, 'exit');
  expect(await next.sweep((owner) => owner === 'kept-vm')).toEqual(['lost']);
  expect(await ended).toEqual([null, 'SIGKILL']);
  expect(survivor.signalCode).toBeNull();
  const adopted = next.adopt(kept.name);
  expect(adopted.joinPaths).toEqual(kept.joinPaths);
  expect(await next.sweep(() => false)).toEqual([]);
  // What was left is nobody's to remove.
  adopted.leave();
  await next.close();
  expect(survivor.signalCode).toBeNull();
  expect(existsSync(kept.joinPaths[0] ?? '')).toBe(true);
  expect(existsSync(own.joinPaths[0] ?? '')).toBe(false);
  const last = await openCgroupTree({ instance });
  expect(await last.sweep(() => false)).toEqual(['kept-vm']);
  await last.close();
  for (const path of kept.joinPaths) expect(existsSync(dirname(dirname(path)))).toBe(false);
});

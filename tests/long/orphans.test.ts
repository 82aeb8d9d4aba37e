// Leftovers planted by hand around a real server with a MicroVM that sleeps and one that runs: shown, reaped, and nothing else.
import { spawn } from 'node:child_process';
import { copyFile, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { slotsOnHost } from '../../src/net/sweep-slots.ts';
import { instanceOf } from '../../src/node/layout.ts';
import { findHierarchies } from '../../src/vmm/cgroup/hierarchies.ts';
import { projectZip } from '../support/real-node.ts';
import { runCli } from '../support/run-cli.ts';
import { startTestServer } from '../support/server.ts';

const strangerId = 'microvm-00000000-0000-4000-8000-000000000000';
const strangerBuild = '00000000-0000-4000-8000-000000000001';

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Where the groups of an instance are, one directory for each hierarchy. */
async function groupRoots(instance: string): Promise<string[]> {
  const read = (name: string): Promise<string> => readFile(`/proc/self/${name}`, 'utf8');
  const { parents } = findHierarchies(await read('mountinfo'), await read('cgroup'));
  return Object.values(parents).map((parent) => join(parent, `waterbear-${instance}`));
}

/** A process that says of itself what a VMM does; it holds nothing. */
async function plantVmm(directory: string, runDirectory: string) {
  const executable = join(directory, 'qemu-system-x86_64');
  await copyFile('/bin/bash', executable);
  await mkdir(runDirectory);
  const monitor = `socket,id=qmp,path=${runDirectory}/qmp,server=on`;
  return spawn(executable, ['-c', 'read line', monitor], { stdio: ['pipe', 'ignore', 'ignore'] });
}

test('leftovers of every kind are shown and reaped; what is in use stays', { timeout: 600_000 }, async () => {
  await using stack = new AsyncDisposableStack();
  const it = await startTestServer({ reapAfterMs: 'never' });
  stack.defer(() => it.close());
  const { imageArn } = await it.build('state', await projectZip('state'));
  const [asleep, running] = [await it.run(imageArn), await it.run(imageArn)];
  const count = async ({ endpoint, token }: typeof asleep): Promise<number> =>
    (JSON.parse((await it.get(endpoint, token)).body) as { count: number }).count;
  for (const { id } of [asleep, running]) await it.until(id, 'RUNNING');
  expect([await count(asleep), await count(running)]).toEqual([1, 1]);
  await it.lambda.suspendMicrovm({ microvmIdentifier: asleep.id });
  await it.until(asleep.id, 'SUSPENDED');

  const instance = instanceOf(it.data);
  const at = (...names: string[]): string => join(it.data, ...names);
  const layers = (await readdir(at('vms', asleep.id, 'disk'))).sort();
  const vmm = await plantVmm(it.data, `/run/waterbear-${instance}/feedfeedfeed`);
  stack.defer(() => void vmm.kill('SIGKILL'));
  const groups = (await groupRoots(instance)).map((root) => join(root, 'deadbeefdead-00000000'));
  for (const group of groups) await mkdir(group);
  await run('ip', ['netns', 'add', `wb-${instance}-7777`]);
  await mkdir(at('vms', strangerId, 'sleep-3'), { recursive: true });
  await writeFile(at('vms', strangerId, 'sleep-3', 'device-state'), 'x'.repeat(100_000));
  await writeFile(at('vms', asleep.id, 'disk', 'layer-99.qcow2'), 'x'.repeat(200_000));
  await mkdir(at('images', `${strangerBuild}.work`));
  await writeFile(at('logs', `${strangerBuild}.log`), 'x');

  const residue = [
    ...['vmm:feedfeedfeed', 'vmm:deadbeefdead', 'slot:7777', `disk-layer:${asleep.id}/layer-99.qcow2`],
    ...[`build-work:${strangerBuild}.work`, `build-log:${strangerBuild}`],
  ].sort();
  const cli = (...args: string[]) => runCli([...args, '--data', it.data]);
  const shown = async (): Promise<string[]> => {
    const { orphans } = JSON.parse((await cli('orphans', '--json')).out) as { orphans: { id: string }[] };
    return orphans.map(({ id }) => id).sort();
  };
  // They have to be a minute old.
  const all = [...residue, `microvm:${strangerId}`].sort();
  await expect.poll(shown, { timeout: 120_000, interval: 2000 }).toEqual(all);
  const reaped = await cli('orphans', '--reap');
  expect(reaped).toMatchObject({ exitCode: 0, out: expect.stringContaining('6 of 6 orphans reaped') });
  expect(await shown()).toEqual([`microvm:${strangerId}`]);
  expect((await cli('gc')).exitCode).toBe(0);
  expect((await cli('orphans', '--reap', `microvm:${strangerId}`)).exitCode).toBe(0);
  expect(await shown()).toEqual([]);

  expect(vmm.exitCode ?? vmm.signalCode).toBe('SIGKILL');
  expect(slotsOnHost(instance)).not.toContain(7777);
  const gone = [
    `/run/waterbear-${instance}/feedfeedfeed`,
    ...groups,
    at('vms', strangerId),
    at('logs', `${strangerBuild}.log`),
  ];
  expect(await Promise.all(gone.map(exists))).toEqual(gone.map(() => false));
  expect((await readdir(at('vms', asleep.id, 'disk'))).sort()).toEqual(layers);
  // The one that ran never noticed, and the other wakes as it was.
  await it.lambda.resumeMicrovm({ microvmIdentifier: asleep.id });
  await it.until(asleep.id, 'RUNNING');
  expect([await count(asleep), await count(running)]).toEqual([2, 2]);
});

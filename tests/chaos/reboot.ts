// As after a reboot: nothing is left of a server but its data directory. The machine itself goes on, so everything is taken away by hand.
import { rm, rmdir } from 'node:fs/promises';
import { pause } from '../../src/lib/deadline.ts';
import { run } from '../../src/lib/process.ts';
import { instanceOf, nodeLayout } from '../../src/node/layout.ts';
import type { FaultKit } from './faults.ts';
import { lookAround } from './machine.ts';
import { until } from './world.ts';

export const rebootFault: FaultKit = {
  name: 'reboot',
  afterKill: clearMachine,
};

/** Ends and removes whatever this machine has for the data directory's server, which must be dead. Its own files stay. */
export async function clearMachine(data: string): Promise<void> {
  const look = () => lookAround(data, [process.pid]);
  await until('the end of all processes', async () => {
    const { processes } = await look();
    for (const { pid } of processes) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It was faster.
      }
    }
    return processes.length === 0 ? true : undefined;
  });
  const { namespaces, links, routes, cgroups, mounts } = await look();
  const instance = instanceOf(data);
  // What cannot be removed shows in the next look at what is left.
  const attempt = (command: string, args: string[]): Promise<unknown> => run(command, args).catch(() => undefined);
  for (const line of mounts) await attempt('umount', ['-l', line.split(' ')[1] ?? '']);
  for (const name of links) await attempt('ip', ['link', 'del', name]);
  for (const { name } of namespaces) await attempt('ip', ['netns', 'del', name]);
  for (const line of routes) await attempt('ip', ['route', 'del', ...line.trim().split(' ')]);
  await attempt('nft', ['delete', 'table', 'inet', `wb_${instance}`]);
  const parents = new Set(cgroups.map(({ path }) => path.slice(0, path.lastIndexOf('/'))));
  for (const path of [...cgroups.map((group) => group.path), ...parents]) await removeGroup(path);
  await rm(nodeLayout(data, instance).run, { recursive: true, force: true });
}

async function removeGroup(path: string): Promise<void> {
  for (let tries = 0; tries < 50; tries++) {
    const error = await rmdir(path).then(
      () => undefined,
      (reason: NodeJS.ErrnoException) => reason,
    );
    if (!error || error.code === 'ENOENT') return;
    await pause(20);
  }
}

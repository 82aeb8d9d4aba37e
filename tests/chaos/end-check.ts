// After everything was terminated and the server has stopped: only the data directory is left, and nothing of any MicroVM is in it.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { lookAround } from './machine.ts';
import { checkLeaks } from './recovery-check.ts';
import type { World } from './world.ts';

export async function checkEnd(world: World): Promise<void> {
  const leaked = (what: string): void => world.findings.add('leaked', `after the end: ${what}`);
  const { data } = world.place;
  await checkLeaks(world);
  const { code, signal } = await world.running.kill('SIGTERM');
  if (code !== 0) world.findings.add('broken', `the server stopped with ${code ?? signal}`);
  const left = await lookAround(data, [process.pid]);
  for (const { pid, command } of left.processes) leaked(`process ${pid} ${command.slice(0, 150)}`);
  for (const { name } of left.namespaces) leaked(`namespace ${name}`);
  for (const { path } of left.cgroups) leaked(`cgroup ${path}`);
  for (const name of left.run) leaked(`run directory with ${name}`);
  for (const kind of ['links', 'tables', 'routes', 'mounts'] as const) {
    for (const what of left[kind]) leaked(`${kind}: ${what}`);
  }
  for (const name of await readdir(join(data, 'vms')).catch(() => [])) leaked(`vms/${name}`);
}

// What a host finds when it starts: sleeping MicroVMs it keeps, half-made ones and leftovers of a server that was killed, which it removes.
import { mkdir, readdir, readFile, readlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { makeDirectory, remove } from '../lib/durable-file.ts';
import type { Log } from '../lib/log.ts';
import { type NodeLayout, vmPaths } from './layout.ts';
import { newestGeneration, readRecord, type VmRecord } from './vm-record.ts';

export interface Sleeper {
  record: VmRecord;
  generation: number;
}

/** Ends VMMs of an earlier server on this data directory, removes what is half-made, returns what sleeps. */
export async function recover(layout: NodeLayout, log: Log): Promise<Sleeper[]> {
  await endLeftoverProcesses(layout, log);
  await remove(layout.run);
  for (const directory of [layout.images, layout.logs, layout.vms]) await makeDirectory(directory);
  await mkdir(layout.run, { recursive: true, mode: 0o711 });
  for (const name of await readdir(layout.images)) {
    if (/\.(new|work)$/.test(name)) await remove(join(layout.images, name));
  }
  const sleepers: Sleeper[] = [];
  for (const microvmId of await readdir(layout.vms)) {
    const record = await readRecord(layout, microvmId);
    const generation = await newestGeneration(layout, microvmId);
    const { directory } = vmPaths(layout, microvmId);
    if (record?.microvmId === microvmId && generation > 0) {
      await removeOlder(directory, generation);
      sleepers.push({ record, generation });
    } else {
      log.warn('removed_half_made_microvm', { microvmId });
      await remove(directory);
    }
  }
  return sleepers;
}

async function removeOlder(directory: string, generation: number): Promise<void> {
  for (const name of await readdir(directory)) {
    const older = /^sleep-(\d+)$/.exec(name);
    if (name.endsWith('.new') || (older && Number(older[1]) < generation)) await remove(join(directory, name));
  }
}

/** Ours is a process that is QEMU and was given sockets in our run directory. */
async function endLeftoverProcesses(layout: NodeLayout, log: Log): Promise<void> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const executable = await readlink(`/proc/${name}/exe`).catch(() => '');
    if (!basename(executable).startsWith('qemu-system-')) continue;
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (!command.includes(`path=${layout.run}/`)) continue;
    log.warn('ended_leftover_vmm', { pid: Number(name) });
    process.kill(Number(name), 'SIGKILL');
  }
}

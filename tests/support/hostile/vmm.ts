// What the host sees of a VM: its VMM's process, its slot.
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { run } from '../../../src/lib/process.ts';
import type { Place } from './hostile-guest.ts';

/** The VMM of a MicroVM, found by the run directory in its command line. */
export async function vmmOf(microvmId: string): Promise<number> {
  for (const pid of await readdir('/proc')) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (/^\S*qemu-system/.test(command) && command.includes(`/${microvmId.slice(-12)}/`)) return Number(pid);
  }
  throw new Error(`There is no VMM of ${microvmId}.`);
}

export async function placeOf(microvmId: string, instance: string): Promise<Place> {
  const pid = await vmmOf(microvmId);
  const { ino } = await stat(`/proc/${pid}/ns/net`);
  for (const name of await readdir('/run/netns')) {
    if (!name.startsWith(`wb-${instance}-`) || (await stat(`/run/netns/${name}`)).ino !== ino) continue;
    const hostLink = `wb${name.slice(3)}`;
    const [hostAddress, slotAddress] = await Promise.all([addressOf(hostLink), addressOf('up0', name)]);
    return { pid, namespace: name, hostLink, hostAddress, slotAddress };
  }
  throw new Error(`The VMM of ${microvmId} is in no slot.`);
}

async function addressOf(link: string, namespace?: string): Promise<string> {
  const enter = namespace ? ['-n', namespace] : [];
  const { stdout } = await run('ip', [...enter, '-j', '-4', 'addr', 'show', 'dev', link]);
  const [found] = JSON.parse(stdout) as { addr_info: { local: string }[] }[];
  return found?.addr_info[0]?.local ?? '';
}

export interface VmmFacts {
  executable: string;
  uids: string;
  threads: number;
  residentBytes: number;
  /** Regular files it could write. */
  writable: string[];
}

export async function vmmFacts(pid: number): Promise<VmmFacts> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): string => new RegExp(`^${name}:\\s*(.*)$`, 'm').exec(status)?.[1] ?? '';
  return {
    executable: await readlink(`/proc/${pid}/exe`),
    uids: field('Uid'),
    threads: Number(field('Threads')),
    residentBytes: Number.parseInt(field('VmRSS'), 10) * 1024,
    writable: await writableFiles(pid),
  };
}

async function writableFiles(pid: number): Promise<string[]> {
  const numbers = await readdir(`/proc/${pid}/fd`);
  const found = await Promise.all(
    numbers.map(async (number) => {
      const target = await readlink(`/proc/${pid}/fd/${number}`).catch(() => '');
      const flags = await readFile(`/proc/${pid}/fdinfo/${number}`, 'utf8').catch(() => '');
      const mode = Number.parseInt(/^flags:\s*(\d+)/m.exec(flags)?.[1] ?? '0', 8) & 3;
      return target.startsWith('/') && !target.startsWith('/dev/') && mode !== 0 ? [target] : [];
    }),
  );
  return found.flat().sort();
}

/** Processes in the slot. */
export async function processesIn(namespace: string): Promise<number[]> {
  const { stdout } = await run('ip', ['netns', 'pids', namespace]);
  return stdout.trim().split(/\s+/).map(Number);
}

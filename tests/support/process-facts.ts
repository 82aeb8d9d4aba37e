// What /proc says of a process from outside: users, rights, mounts, limits, descriptors, command lines.
import { readdir, readFile, readlink } from 'node:fs/promises';

/** Fields of /proc/PID/status by name. */
export async function statusOf(pid: number | string): Promise<Record<string, string>> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  return Object.fromEntries(
    text
      .trim()
      .split('\n')
      .map((line) => {
        const [name = '', ...rest] = line.split(':');
        return [name, rest.join(':').trim().replaceAll('\t', ' ')];
      }),
  );
}

/** `where how kind`, sorted: `how` without the access-time options, `kind` is `host` for file systems of the host's disks. */
export async function mountsOf(pid: number): Promise<string[]> {
  const lines = (await readFile(`/proc/${pid}/mountinfo`, 'utf8')).trim().split('\n');
  return lines
    .map((line) => {
      const [left = '', right = ''] = line.split(' - ');
      const [, , , , where, how = ''] = left.split(' ');
      const options = how.split(',').filter((option) => !/atime$/.test(option));
      const kind = right.split(' ')[0] ?? '';
      return `${where} ${options} ${['tmpfs', 'proc'].includes(kind) ? kind : 'host'}`;
    })
    .sort();
}

/** Soft and hard limit by the names of /proc/PID/limits. */
export async function limitsOf(pid: number): Promise<Record<string, [string, string]>> {
  const lines = (await readFile(`/proc/${pid}/limits`, 'utf8')).trim().split('\n').slice(1);
  return Object.fromEntries(
    lines.map((line) => {
      const [name = '', soft = '', hard = ''] = line.split(/\s{2,}/);
      return [name, [soft, hard]];
    }),
  );
}

export interface Descriptor {
  number: number;
  link: string;
  writable: boolean;
}

export async function descriptorsOf(pid: number): Promise<Descriptor[]> {
  const names = await readdir(`/proc/${pid}/fd`);
  return Promise.all(
    names.map(async (name) => {
      const flags = /^flags:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/fdinfo/${name}`, 'utf8'))?.[1] ?? '';
      const link = await readlink(`/proc/${pid}/fd/${name}`);
      return { number: Number(name), link, writable: (Number.parseInt(flags, 8) & 3) !== 0 };
    }),
  );
}

export const namespaceOf = (pid: number | string, kind: string): Promise<string> => readlink(`/proc/${pid}/ns/${kind}`);

/** The command lines of all processes. */
export async function commandLines(): Promise<string> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return lines.map((line) => line.replaceAll('\0', ' ')).join('\n');
}

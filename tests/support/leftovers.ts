// What a server or a test may not leave behind on the machine.
import { readdir, readFile } from 'node:fs/promises';
import { run } from '../../src/lib/process.ts';
import { findHierarchies } from '../../src/vmm/cgroup/hierarchies.ts';

/** VMMs, namespaces, links, nft tables, run directories, cgroups and mounts of ours that exist now, as text. */
export async function leftovers(): Promise<string[]> {
  const lines = async (command: string, args: string[]): Promise<string[]> =>
    (await run(command, args)).stdout.split('\n');
  const vmms = await Promise.all(
    (await readdir('/proc'))
      .filter((name) => /^\d+$/.test(name))
      .map(async (pid) => {
        const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
        return /^\S*qemu-system\S* .*waterbear/.test(command)
          ? `process ${pid} ${/\/run\/\S*waterbear\S*/.exec(command)?.[0]}`
          : '';
      }),
  );
  const found = [
    ...vmms,
    ...(await lines('ip', ['netns', 'list']))
      .filter((line) => line.startsWith('wb-'))
      .map((line) => `namespace ${line}`),
    ...(await lines('ip', ['-o', 'link']))
      .filter((line) => /: wb[0-9a-f]{4,6}-/.test(line))
      .map((line) => `link ${line.slice(0, 60)}`),
    ...(await lines('ip', ['route', 'show', 'type', 'unreachable']))
      .filter((line) => /^unreachable 10\.1[12]\d\./.test(line))
      .map((line) => `route ${line}`),
    ...(await lines('nft', ['list', 'tables'])).filter((line) => line.includes(' wb_')).map((line) => `nft ${line}`),
    ...(await readdir('/run')).filter((name) => name.startsWith('waterbear-')).map((name) => `directory /run/${name}`),
    ...(await cgroups()).map((path) => `cgroup ${path}`),
    ...(await readFile('/proc/self/mounts', 'utf8'))
      .split('\n')
      .filter((line) => /waterbear/.test(line))
      .map((line) => `mount ${line}`),
  ];
  return found.filter(Boolean);
}

async function cgroups(): Promise<string[]> {
  const read = (name: string): Promise<string> => readFile(`/proc/self/${name}`, 'utf8');
  const { parents } = findHierarchies(await read('mountinfo'), await read('cgroup'));
  const found = await Promise.all(
    Object.values(parents).map(async (parent) =>
      (await readdir(parent)).filter((name) => name.startsWith('waterbear-')).map((name) => `${parent}/${name}`),
    ),
  );
  return found.flat();
}

// What exists on this machine for one data directory, found by names alone, as somebody would who knows nothing of the server's state.
import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/lib/process.ts';
import { instanceOf, nodeLayout } from '../../src/node/layout.ts';
import { findHierarchies } from '../../src/vmm/cgroup/hierarchies.ts';

export interface FoundProcess {
  pid: number;
  command: string;
  /** The part of its run directory's path that names the VM; undefined when only the data directory is in its command. */
  vm: string | undefined;
  /** It is QEMU itself. */
  isVmm: boolean;
  namespace: string;
}

export interface Machine {
  processes: FoundProcess[];
  /** Names and what identifies them to a process. */
  namespaces: { name: string; id: string }[];
  links: string[];
  tables: string[];
  routes: string[];
  /** Directories of groups, with how many processes are in each. */
  cgroups: { path: string; processes: number }[];
  /** Files and directories directly below the run directory. */
  run: string[];
  mounts: string[];
}

const lines = async (command: string, args: string[]): Promise<string[]> =>
  (await run(command, args)).stdout.split('\n').filter(Boolean);

const names = (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

/** `ours`: processes that are known, with their children that die with them: the server, and this one. */
export async function lookAround(data: string, ours: readonly number[]): Promise<Machine> {
  const instance = instanceOf(data);
  const runRoot = nodeLayout(data, instance).run;
  const metric = 0x1000000 + Number.parseInt(instance, 16);
  const [processes, namespaces, links, tables, routes, cgroups, found, mounts] = await Promise.all([
    findProcesses(data, runRoot, ours),
    namespacesOf(instance),
    names('/sys/class/net').then((all) => all.filter((name) => name.startsWith(`wb${instance}-`))),
    lines('nft', ['list', 'tables']).then((all) => all.filter((line) => line.endsWith(` wb_${instance}`))),
    lines('ip', ['route', 'show', 'type', 'unreachable']).then((all) =>
      all.filter((line) => line.split(' ').includes(String(metric))),
    ),
    findGroups(`waterbear-${instance}`),
    names(runRoot),
    readFile('/proc/self/mounts', 'utf8').then((text) =>
      text.split('\n').filter((line) => line.includes(`${runRoot}/`) || line.includes(`${data}/`)),
    ),
  ]);
  return { processes, namespaces, links, tables, routes, cgroups, run: found, mounts };
}

async function findProcesses(data: string, runRoot: string, ours: readonly number[]): Promise<FoundProcess[]> {
  const pids = (await names('/proc')).filter((name) => /^\d+$/.test(name) && !ours.includes(Number(name)));
  const found = await Promise.all(
    pids.map(async (pid): Promise<FoundProcess[]> => {
      const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
      const at = command.indexOf(`${runRoot}/`);
      if (at < 0 && !command.includes(`${data}/`)) return [];
      const vm = at < 0 ? undefined : /^[\w-]+/.exec(command.slice(at + runRoot.length + 1))?.[0];
      const namespace = await readlink(`/proc/${pid}/ns/net`).catch(() => '');
      const isVmm = /^\S*qemu-system/.test(command);
      // Threads and zombies of a process that has ended have nothing of it any more.
      return namespace ? [{ pid: Number(pid), command, vm, isVmm, namespace }] : [];
    }),
  );
  return found.flat();
}

async function namespacesOf(instance: string): Promise<Machine['namespaces']> {
  const all = (await names('/run/netns')).filter((name) => name.startsWith(`wb-${instance}-`));
  return Promise.all(
    all.map(async (name) => {
      const inode = await stat(join('/run/netns', name)).catch(() => undefined);
      return { name, id: `net:[${inode?.ino ?? 0}]` };
    }),
  );
}

async function findGroups(name: string): Promise<Machine['cgroups']> {
  const read = (file: string): Promise<string> => readFile(`/proc/self/${file}`, 'utf8');
  const { parents } = findHierarchies(await read('mountinfo'), await read('cgroup'));
  const roots = Object.values(parents).map((parent) => join(parent, name));
  const groups = await Promise.all(
    roots.map(async (root) => {
      const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
      return entries.filter((entry) => entry.isDirectory()).map((entry) => join(root, entry.name));
    }),
  );
  return Promise.all(
    groups.flat().map(async (path) => {
      const text = await readFile(join(path, 'cgroup.procs'), 'utf8').catch(() => '');
      return { path, processes: text.split('\n').filter(Boolean).length };
    }),
  );
}

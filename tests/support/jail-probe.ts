// Runs a shell in the place of QEMU: the same launcher with the same plan, only the program differs. What it can do, a VMM that was broken
// out of can do.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { within } from '../../src/lib/deadline.ts';
import { run } from '../../src/lib/process.ts';
import { type Cgroup, openCgroupTree } from '../../src/vmm/cgroup/cgroup-tree.ts';
import type { CpuShare, MachineSize } from '../../src/vmm/driver.ts';
import { qemuBinary } from '../../src/vmm/qemu/host-engine.ts';
import { groupLimits, launcherWords } from '../../src/vmm/qemu/jail.ts';
import { jailFiles } from '../../src/vmm/qemu/jail-files.ts';
import { toolkitDirectory } from './real-node.ts';

const shell = '/bin/busybox';
const deadlineMs = 60_000;

export interface Probe {
  readonly pid: number;
  /** What the shell script printed, both streams, and how the launcher's process ended. */
  readonly output: Promise<string>;
  /** Its cgroup, already joined: the script starts afterwards. */
  readonly group: Cgroup;
}

export interface ProbeJail {
  readonly scratch: string;
  readonly uid: number;
  /** Starts a script. `inherited` come as descriptors 10 and up; what is in `leaked`, from 40 on, should not come at all. */
  start(script: string, options?: { inherited?: number[]; leaked?: number[] }): Promise<Probe>;
  /** Runs a script to its end. */
  run(script: string): Promise<string>;
  close(): Promise<void>;
}

/** Needs root. `uid` must be different for jails that are open at the same time. */
export async function openProbeJail(uid: number, size: MachineSize, cpu?: CpuShare): Promise<ProbeJail> {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-jail-'));
  const instance = uid.toString(16).slice(-5);
  const namespace = `wb-${instance}-0`;
  // Left by a run that was killed.
  await run('ip', ['netns', 'del', namespace]).catch(() => {});
  await run('ip', ['netns', 'add', namespace]);
  await run('ip', ['-n', namespace, 'tuntap', 'add', 'dev', 'tap0', 'mode', 'tap', 'user', String(uid), 'vnet_hdr']);
  const cgroups = await openCgroupTree({ instance });
  const found = await jailFiles(qemuBinary);
  const jail = {
    launcher: join(toolkitDirectory, 'bin/launch'),
    files: { ...found, files: [shell] },
    cgroups,
    pids: new Set<number>(),
  };
  const wire = { namespace, tap: 'tap0', guestMac: '', relay: { host: '', port: 0 }, uid };
  const words = (descriptors: number): string[] =>
    launcherWords({ jail, runDirectory: directory, layers: [], wire, descriptors });
  const groups: Cgroup[] = [];
  const open: ProbeJail = {
    scratch: directory,
    uid,
    async start(script, { inherited = [], leaked = [] } = {}) {
      const stdio: ('pipe' | 'ignore' | number)[] = [
        'pipe',
        'pipe',
        'pipe',
        ...Array<'ignore'>(7).fill('ignore'),
        ...inherited,
      ];
      const args = [...words(stdio.length), '--', shell, 'sh', '-c', `exec 2>&1; read go; ${script}`];
      while (leaked.length > 0 && stdio.length < 40) stdio.push('ignore');
      const child = spawn(jail.launcher, args, { stdio: [...stdio, ...leaked], env: {}, cwd: '/' });
      const group = await cgroups.create('probe', groupLimits(size, cpu));
      groups.push(group);
      await group.join(child.pid ?? 0);
      const { stdin, stdout, stderr } = child;
      if (!stdin || !stdout || !stderr) throw new Error('a probe without pipes');
      stdin.on('error', () => {});
      stdin.end('go\n');
      const all = Promise.all([text(stdout), text(stderr), once(child, 'close')]);
      const output = within(deadlineMs, 'The probe', all)
        .then(([out, said, [code, signal]]) => `${out}${said}[${signal ?? code}]\n`)
        .finally(() => child.kill('SIGKILL'));
      output.catch(() => {});
      return { pid: child.pid ?? 0, output, group };
    },
    run: async (script) => (await open.start(script)).output,
    async close() {
      await Promise.all(groups.map((group) => group.remove()));
      await cgroups.close();
      await run('ip', ['netns', 'del', namespace]);
      await rm(directory, { recursive: true, force: true });
    },
  };
  return open;
}

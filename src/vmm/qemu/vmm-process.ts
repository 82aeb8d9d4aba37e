// One QEMU process: spawned into its jail, its sockets connected, its end watched.
import { type ChildProcess, spawn } from 'node:child_process';
import { basename } from 'node:path';
import { pause } from '../../lib/deadline.ts';
import { Fault } from '../../lib/errors.ts';
import type { Cgroup } from '../cgroup/cgroup-tree.ts';
import type { CpuShare } from '../driver.ts';
import { inheritFiles } from './inherited-files.ts';
import { groupLimits, type Jail, launcherWords } from './jail.ts';
import { type DiskLayer, type LaunchPlan, qemuArguments } from './machine-shape.ts';
import { identify, type ProcessIdentity } from './process-identity.ts';
import { openRunDirectory, writeVmmRecord } from './vmm-record.ts';
import { connectSockets, letGo, scratchOf, type VmmSockets } from './vmm-sockets.ts';

const startDeadlineMs = 30_000;
/** Of what QEMU said, from the end. */
const keptErrorBytes = 4096;

export interface ProcessPlan extends Omit<LaunchPlan, 'layers'> {
  jail: Jail;
  cpu?: CpuShare;
  /** Files from the root disk upwards. */
  layers: DiskLayer[];
  memoryFd: number;
  /** Device state to load, for a restore. */
  statePath?: string;
  /** Of the host, for the record that is left in the run directory. */
  bootId: string;
}

/** What the driver knows of every VMM. */
export type VmmPlan = Pick<ProcessPlan, 'binary' | 'jail' | 'bootId' | 'accelerator' | 'runDirectory' | 'cpu' | 'wire'>;

export interface VmmExit {
  /** Neither is known of a process that was adopted. */
  exitCode: number | undefined;
  signal: string | undefined;
  /** What QEMU itself said. */
  errors: string;
  /** The kernel ended it: its cgroup was at its limit. */
  outOfMemory: boolean;
}

export interface VmmProcess extends VmmSockets {
  readonly pid: number;
  readonly identity: ProcessIdentity;
  readonly group: Cgroup;
  readonly exited: Promise<VmmExit>;
  /** Its scratch directory as seen from here, while it lives. What is in it is its own: nothing of it can be trusted. */
  readonly scratch: string;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
  /** Lets go of it: connections close, the process and its group stay. */
  leave(): void;
}

/**
 * Starts QEMU and connects to it. On failure nothing is left but the run directory, which belongs to the caller. `signal` ends the
 * process whenever it fires; the start rejects with `aborted` then.
 */
export async function startVmm(plan: ProcessPlan, signal?: AbortSignal): Promise<VmmProcess> {
  await openRunDirectory(plan.runDirectory, plan.bootId);
  const child = spawnJailed(plan);
  const { pid } = child;
  const identity = pid === undefined ? undefined : identify(pid);
  const { pids } = plan.jail;
  if (pid !== undefined) pids.add(pid);
  const grouping = joinGroup(plan, child);
  grouping.catch(() => {});
  const gone = new AbortController();
  let ending = false;
  const exited = watch(child, grouping, () => ending);
  const forget = (): void => {
    signal?.removeEventListener('abort', onAbort);
    if (pid !== undefined) pids.delete(pid);
  };
  void exited.then(() => {
    gone.abort();
    forget();
  });
  const kill = async (): Promise<void> => {
    ending = true;
    child.kill('SIGKILL');
    await exited;
  };
  const onAbort = (): void => void kill();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    if (pid === undefined || !identity) throw new Fault('internal', { what: 'A VMM without a process.' });
    const stop = AbortSignal.any([gone.signal, AbortSignal.timeout(startDeadlineMs), ...(signal ? [signal] : [])]);
    const scratch = scratchOf(pid, plan.runDirectory);
    const { bootId, runDirectory } = plan;
    const [connected] = await Promise.all([
      connectSockets(scratch, stop),
      writeVmmRecord(runDirectory, { bootId, phase: 'starting', process: identity }),
    ]);
    // Nothing that a guest has made is loaded, let alone run, before the limits hold.
    const group = await grouping;
    if (!group) throw new Fault('internal', { what: 'A VMM without a cgroup.' });
    const leave = (): void => {
      forget();
      letGo(connected);
      child.stderr?.destroy();
      child.unref();
      group.leave();
    };
    return { ...connected, pid, identity, group, exited, scratch, kill, leave };
  } catch (cause) {
    const alive = await Promise.race([exited.then(() => false), pause(20).then(() => true)]);
    await kill();
    if (signal?.aborted) throw new Fault('aborted', { what: 'Starting a VM' }, cause);
    // Why there is no cgroup says more than what became of the VMM without one.
    await grouping;
    const { errors } = await exited;
    throw new Fault(
      'vmm_failed',
      { what: `did not start${alive ? ` within ${startDeadlineMs} ms` : ''}: ${errors.trim() || String(cause)}` },
      cause,
    );
  }
}

function spawnJailed(plan: ProcessPlan): ChildProcess {
  const files = inheritFiles(plan);
  try {
    const { layers, kernel, addFds, stdio } = files;
    const command = [plan.binary, ...addFds, ...qemuArguments({ ...plan, layers, ...(kernel ? { kernel } : {}) })];
    const words = launcherWords({ ...plan, descriptors: stdio.length });
    return spawn(plan.jail.launcher, [...words, '--', ...command], { stdio, detached: true, env: {}, cwd: '/' });
  } finally {
    files.close();
  }
}

/**
 * Joining takes as long as half of QEMU's start, so that the two run side by side; the process's threads and children go with it.
 * Resolves with nothing when the process ended before it could be put anywhere.
 */
async function joinGroup(plan: ProcessPlan, child: ChildProcess): Promise<Cgroup | undefined> {
  const group = await plan.jail.cgroups.create(basename(plan.runDirectory), groupLimits(plan.size, plan.cpu));
  // Once it has ended, its number may be another's.
  const alive = child.exitCode === null && child.signalCode === null;
  try {
    if (alive && child.pid !== undefined) {
      await group.join(child.pid);
      return group;
    }
  } catch (error) {
    child.kill('SIGKILL');
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') {
      await group.remove();
      throw error;
    }
  }
  await group.remove();
  return undefined;
}

function watch(child: ChildProcess, grouping: Promise<Cgroup | undefined>, ending: () => boolean): Promise<VmmExit> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-keptErrorBytes);
  });
  return new Promise((resolve) => {
    const done = async (exitCode: number | null, signal: string | null): Promise<void> => {
      const group = await grouping.catch(() => undefined);
      const outOfMemory = signal === 'SIGKILL' && !ending() && (await group?.outOfMemory()) === true;
      // Nobody waits for it; closing the tree does, and reports what could not be removed.
      group?.remove().catch(() => {});
      resolve({ exitCode: exitCode ?? undefined, signal: signal ?? undefined, errors: said, outOfMemory });
    };
    child.once('error', (error) => {
      said ||= error.message;
      void done(null, null);
    });
    child.once('close', (exitCode, signal) => void done(exitCode, signal));
  });
}

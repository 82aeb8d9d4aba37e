// One QEMU process: spawned unprivileged inside its slot, its sockets connected, its end watched.
import { type ChildProcess, spawn } from 'node:child_process';
import { chownSync } from 'node:fs';
import { chown, mkdir, readFile, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { pause } from '../../lib/deadline.ts';
import { Fault } from '../../lib/errors.ts';
import { inheritFiles } from './inherited-files.ts';
import { type DiskLayer, type LaunchPlan, qemuArguments, sockets } from './machine-shape.ts';
import { connectQmp, connectSoon, type Qmp } from './qmp.ts';

const startDeadlineMs = 30_000;
/** User of a VM without a slot. */
const nobody = 65534;

export interface ProcessPlan extends Omit<LaunchPlan, 'layers'> {
  /** Group of /dev/kvm, for VMs that use it. */
  kvmGroup?: number;
  /** `host/launch`: enters the namespace, opens the tap, drops every right. */
  launcher: string;
  /** Files from the root disk upwards. */
  layers: DiskLayer[];
  memoryFd: number;
  /** Device state to load, for a restore. */
  statePath?: string;
}

export interface VmmExit {
  exitCode: number | undefined;
  signal: string | undefined;
  /** What QEMU itself said. */
  errors: string;
}

export interface VmmProcess {
  readonly pid: number;
  readonly qmp: Qmp;
  readonly control: Socket;
  readonly console: Socket;
  readonly log: Socket;
  readonly exited: Promise<VmmExit>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

/** Starts QEMU and connects to it. On failure nothing is left but the run directory, which belongs to the caller. */
export async function startVmm(plan: ProcessPlan, signal?: AbortSignal): Promise<VmmProcess> {
  await prepareRunDirectory(plan);
  const files = inheritFiles(plan);
  let child: ChildProcess;
  try {
    const target = [
      plan.wire ? `/run/netns/${plan.wire.namespace}` : '-',
      plan.wire?.tap ?? '-',
      String(plan.wire?.uid ?? nobody),
      plan.kvmGroup ? String(plan.kvmGroup) : '-',
    ];
    const { layers, kernel, addFds, stdio } = files;
    const command = [plan.binary, ...addFds, ...qemuArguments({ ...plan, layers, ...(kernel ? { kernel } : {}) })];
    child = spawn(plan.launcher, [...target, '--', ...command], { stdio, detached: true, env: {}, cwd: '/' });
  } finally {
    files.close();
  }
  const gone = new AbortController();
  const exited = watch(child, plan.runDirectory);
  void exited.then(() => gone.abort());
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  try {
    const stop = AbortSignal.any([gone.signal, AbortSignal.timeout(startDeadlineMs), ...(signal ? [signal] : [])]);
    const path = (name: string): string => join(plan.runDirectory, name);
    const qmp = await connectQmp(path(sockets.qmp), stop);
    // QEMU has opened all its sockets before it answers on the monitor.
    const [control, console, log] = await Promise.all(
      [sockets.control, sockets.console, sockets.log].map((name) => connectSoon(path(name), stop)),
    );
    if (!control || !console || !log || child.pid === undefined)
      throw new Fault('internal', { what: 'A VMM without sockets.' });
    return { pid: child.pid, qmp, control, console, log, exited, kill };
  } catch (cause) {
    const alive = await Promise.race([exited.then(() => false), pause(20).then(() => true)]);
    await kill();
    if (signal?.aborted) throw cause;
    const { errors } = await exited;
    throw new Fault(
      'vmm_failed',
      { what: `did not start${alive ? ` within ${startDeadlineMs} ms` : ''}: ${errors.trim() || String(cause)}` },
      cause,
    );
  }
}

async function prepareRunDirectory(plan: ProcessPlan): Promise<void> {
  const uid = plan.wire?.uid ?? nobody;
  await mkdir(plan.runDirectory, { recursive: true, mode: 0o700 });
  await Promise.all(Object.values(sockets).map((name) => rm(join(plan.runDirectory, name), { force: true })));
  await chown(plan.runDirectory, uid, uid);
  for (const layer of plan.layers) if (layer.writable) chownSync(layer.path, uid, uid);
}

function watch(child: ChildProcess, runDirectory: string): Promise<VmmExit> {
  return new Promise((resolve) => {
    const done = async (exitCode: number | null, signal: string | null): Promise<void> => {
      const errors = await readFile(join(runDirectory, 'qemu.log'), 'utf8').catch(() => '');
      resolve({ exitCode: exitCode ?? undefined, signal: signal ?? undefined, errors: errors.slice(-4096) });
    };
    child.once('error', (error) => void done(null, error.message));
    child.once('exit', (exitCode, signal) => void done(exitCode, signal));
  });
}

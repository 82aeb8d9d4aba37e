// Ends what earlier servers left: VMMs and launchers by executable and command line, whatever else lives in our cgroups, run directories, groups.
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { Fault } from '../../lib/errors.ts';
import type { CgroupTree } from '../cgroup/cgroup-tree.ts';
import type { SweptVm } from '../driver.ts';
import { end, lives, type MarkedProcess, markedProcesses, untilGone } from './process-identity.ts';
import { asideSuffix, isRunDirectory, removeRunDirectory } from './vmm-record.ts';

export interface SweepParts {
  cgroups: CgroupTree;
  /** Of this server's own VMMs. */
  pids: ReadonlySet<number>;
  /** Run directories of this server's own VMs. */
  directories: ReadonlySet<string>;
  /** Whether a run directory and all that belongs to it stay. */
  keep: (runDirectory: string) => boolean;
  /** Look, and leave everything as it is. */
  dryRun: boolean;
  /** How long a process may take to end; default 10 s. */
  patienceMs?: number;
}

/** A process that waits for a disk that does not answer hears no signal. */
const usualPatienceMs = 10_000;

/** Sweeps below `runRoot`. Resolves with what was there when all of it is gone. Rejects with `deadline_exceeded` when a process does not end; then the rest is gone. */
export async function sweepVmms(runRoot: string, parts: SweepParts): Promise<SweptVm[]> {
  const { cgroups, pids, directories, keep, dryRun, patienceMs = usualPatienceMs } = parts;
  const processes = (await markedProcesses(runRoot)).filter((one) => !pids.has(one.pid) && !keep(one.runDirectory));
  const undying = new Set(dryRun ? [] : (await endAll(processes, patienceMs)).map(({ runDirectory }) => runDirectory));
  const stays = (directory: string): boolean => keep(directory) || undying.has(directory);
  const left: string[] = [];
  for (const directory of await runDirectories(runRoot)) {
    if (stays(directory) || directories.has(directory)) continue;
    if (!dryRun) await removeRunDirectory(directory);
    left.push(directory);
  }
  // A VMM that was broken out of can change its own command line, but not its group.
  const isKept = (name: string): boolean => stays(join(runRoot, name));
  const owners = await (dryRun ? cgroups.left(isKept) : cgroups.sweep(isKept));
  left.push(...owners.map((name) => join(runRoot, name)));
  if (undying.size > 0) {
    throw new Fault('deadline_exceeded', { what: `Ending the VMM of ${[...undying].join(', ')}`, ms: patienceMs });
  }
  const withoutProcess = new Set(left.filter((path) => !processes.some((one) => one.runDirectory === path)));
  return [
    ...processes.map(({ pid, runDirectory }) => ({ pid, runDirectory })),
    ...[...withoutProcess].map((runDirectory) => ({ runDirectory })),
  ];
}

/** Resolves with those that do not end. */
async function endAll(processes: readonly MarkedProcess[], patienceMs: number): Promise<MarkedProcess[]> {
  for (const one of processes) end(one);
  const late = AbortSignal.timeout(patienceMs);
  await Promise.all(processes.map((one) => untilGone(one, late).catch(() => {})));
  return processes.filter(lives);
}

/** Those of VMs directly below `runRoot`, also while they are being made or removed; not what others keep there. */
async function runDirectories(runRoot: string): Promise<string[]> {
  const entries = await readdir(runRoot, { withFileTypes: true }).catch(() => []);
  const found = new Set<string>();
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    const own = basename(name, asideSuffix);
    if (dirname(join(runRoot, own)) !== runRoot) continue;
    if (own !== name || (await isRunDirectory(join(runRoot, name)))) found.add(join(runRoot, own));
  }
  return [...found];
}

// Fills in what the operator did not set about the capacity of a host.
import { availableParallelism } from 'node:os';
import type { Clock } from '../../lib/clock.ts';
import { Admission } from './admission.ts';
import { diskOf } from './disk-gauge.ts';
import { offeredMemoryMib } from './host-memory.ts';

export interface CapacitySettings {
  /** Memory for MicroVMs and builds; default: the host's, or our cgroup's limit, minus a reserve. */
  memoryMib?: number | undefined;
  /** How many times its baseline of processors a MicroVM may use while others leave it; default 4, as on AWS. */
  cpuBurst?: number | undefined;
  /** What launches and builds leave free on the data directory's file system; wakes half of it. Default by its size. */
  diskReserveMib?: number | undefined;
  /** VMs that start at the same time; default: one per processor, two at least. */
  parallelLaunches?: number | undefined;
}

export async function openAdmission(
  settings: CapacitySettings & { dataDirectory: string; maxRunning: number },
  clock: Clock,
): Promise<Admission> {
  const { dataDirectory, diskReserveMib } = settings;
  return new Admission({
    memoryMib: settings.memoryMib ?? (await offeredMemoryMib()),
    disk: diskOf(dataDirectory),
    diskReserveMib,
    parallelLaunches: settings.parallelLaunches ?? Math.max(2, availableParallelism()),
    maxRunning: settings.maxRunning,
    cpuBurst: settings.cpuBurst ?? 4,
    clock,
  });
}

// What a VM's limits are called in the two versions of cgroups. Pure: a list of files and what is written to them, in order.
import type { CpuShare } from '../driver.ts';
import type { Controller, Hierarchies } from './hierarchies.ts';

export interface GroupLimits {
  /** Of everything charged to the group; no swap beside it. */
  memoryBytes: number;
  /** Processes and threads. */
  pids: number;
  /** Absent: an even share, no cap. */
  cpu?: CpuShare;
}

export interface Setting {
  /** Directory it belongs to: a controller's with version 1. */
  where: Controller | 'unified';
  file: string;
  value: string;
  /** Not every kernel has it. */
  optional?: boolean;
}

const periodUs = 100_000;
/** The kernel takes no smaller one. */
const smallestQuotaUs = 1_000;
/** Weight 100 of version 2 is 1024 shares of version 1. */
const sharesPerWeight = 10.24;

export function settingsOf(version: Hierarchies['version'], limits: GroupLimits): Setting[] {
  return version === 1 ? firstVersion(limits) : secondVersion(limits);
}

/** A quota, and as much again that is saved up while idle: a wake after a rest is not throttled. */
function quotaUs(cpu: CpuShare): number {
  return Math.max(smallestQuotaUs, Math.round(cpu.max * periodUs));
}

function firstVersion({ memoryBytes, pids, cpu }: GroupLimits): Setting[] {
  const limit = String(memoryBytes);
  const settings: Setting[] = [
    { where: 'pids', file: 'pids.max', value: String(pids) },
    { where: 'memory', file: 'memory.limit_in_bytes', value: limit },
    { where: 'memory', file: 'memory.memsw.limit_in_bytes', value: limit, optional: true },
    { where: 'memory', file: 'memory.swappiness', value: '0', optional: true },
  ];
  if (!cpu) return settings;
  const quota = String(quotaUs(cpu));
  const shares = String(Math.max(2, Math.round(cpu.weight * sharesPerWeight)));
  return [
    ...settings,
    { where: 'cpu', file: 'cpu.shares', value: shares },
    { where: 'cpu', file: 'cpu.cfs_period_us', value: String(periodUs) },
    { where: 'cpu', file: 'cpu.cfs_quota_us', value: quota },
    { where: 'cpu', file: 'cpu.cfs_burst_us', value: quota, optional: true },
  ];
}

function secondVersion({ memoryBytes, pids, cpu }: GroupLimits): Setting[] {
  const settings: Setting[] = [
    { where: 'unified', file: 'pids.max', value: String(pids) },
    { where: 'unified', file: 'memory.max', value: String(memoryBytes) },
    { where: 'unified', file: 'memory.swap.max', value: '0', optional: true },
  ];
  if (!cpu) return settings;
  const quota = quotaUs(cpu);
  return [
    ...settings,
    { where: 'unified', file: 'cpu.weight', value: String(Math.round(cpu.weight)) },
    { where: 'unified', file: 'cpu.max', value: `${quota} ${periodUs}` },
    { where: 'unified', file: 'cpu.max.burst', value: String(quota), optional: true },
  ];
}

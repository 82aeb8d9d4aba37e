// What a cgroup allows and counts, in the words of version 2 whichever version this machine has. Mounted as Debian and most others do.
import { access, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Directory of a process's cgroup under a controller. */
export async function cgroupOf(pid: number | string, controller: string): Promise<string> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).split('\n').map((text) => text.split(':'));
  const own = lines.find(([, names]) => names?.split(',').includes(controller));
  if (own) return `/sys/fs/cgroup/${controller}${own[2]}`;
  return `/sys/fs/cgroup${lines.find(([number]) => number === '0')?.[2] ?? ''}`;
}

export interface CgroupFacts {
  memoryMax?: string;
  /** Of memory and swap together, where the kernel counts swap. */
  swapMax?: string;
  memoryCurrent?: string;
  memoryPeak?: string;
  pidsMax?: string;
  pidsCurrent?: string;
  /** `QUOTA PERIOD`, microseconds. */
  cpuMax?: string;
  cpuBurst?: string;
  cpuWeight?: string;
}

/** What the files of a directory say: in version 1 each controller has a directory of its own. */
export async function factsOf(group: string): Promise<CgroupFacts> {
  const text = (file: string): Promise<string | undefined> =>
    readFile(join(group, file), 'utf8').then(
      (content) => content.trim(),
      () => undefined,
    );
  const [quota, period, shares] = await Promise.all(
    ['cpu.cfs_quota_us', 'cpu.cfs_period_us', 'cpu.shares'].map((file) => text(file)),
  );
  const found: Record<keyof CgroupFacts, string | undefined> = {
    memoryMax: (await text('memory.max')) ?? (await text('memory.limit_in_bytes')),
    swapMax: (await text('memory.swap.max')) ?? (await text('memory.memsw.limit_in_bytes')),
    memoryCurrent: (await text('memory.current')) ?? (await text('memory.usage_in_bytes')),
    memoryPeak: (await text('memory.peak')) ?? (await text('memory.max_usage_in_bytes')),
    pidsMax: await text('pids.max'),
    pidsCurrent: await text('pids.current'),
    cpuMax: (await text('cpu.max')) ?? (quota && `${quota} ${period}`),
    cpuBurst: (await text('cpu.max.burst')) ?? (await text('cpu.cfs_burst_us')),
    // Weight 100 is 1024 shares.
    cpuWeight: (await text('cpu.weight')) ?? (shares && String(Math.round(Number(shares) / 10.24))),
  };
  return Object.fromEntries(Object.entries(found).filter(([, value]) => value !== undefined));
}

/** Sets the memory limit of a group. */
export async function limitMemory(group: string, bytes: number): Promise<void> {
  const first = await access(join(group, 'memory.limit_in_bytes')).then(
    () => true,
    () => false,
  );
  // In version 1 the limit with swap must not be below the one without.
  const files = first ? ['memory.limit_in_bytes', 'memory.memsw.limit_in_bytes'] : ['memory.max'];
  for (const file of files) await writeFile(join(group, file), String(bytes), { flag: 'r+' });
}

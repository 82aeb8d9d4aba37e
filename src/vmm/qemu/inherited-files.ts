// QEMU gets open files, not paths: its user can read none of the directories they are in.
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import type { DiskLayer, LaunchPlan } from './machine-shape.ts';

export interface InheritedFiles {
  /** By descriptor number, from 0. */
  stdio: ('ignore' | number)[];
  /** Under the names that QEMU knows them by. */
  layers: DiskLayer[];
  kernel: LaunchPlan['kernel'] | undefined;
  /** Arguments that group the disks' descriptors. */
  addFds: string[];
  /** Ours are not needed once QEMU has its own. */
  close(): void;
}

export interface FilePlan {
  runDirectory: string;
  memoryFd: number;
  statePath?: string;
  layers: DiskLayer[];
  kernel?: LaunchPlan['kernel'] | undefined;
}

/** 3 is the memory, 4 the device state (machine-shape.ts), 9 the tap (host/launch). */
const firstFreeDescriptor = 10;

/** Opens everything. Throws, with nothing left open, when a file is missing. */
export function inheritFiles(plan: FilePlan): InheritedFiles {
  const opened: number[] = [];
  const stdio: (number | undefined)[] = [];
  const hand = (path: string, flags: 'r' | 'r+' | 'w', at = Math.max(firstFreeDescriptor, stdio.length)): number => {
    const fd = openSync(path, flags, 0o600);
    opened.push(fd);
    stdio[at] = fd;
    return at;
  };
  const close = (): void => {
    for (const fd of opened.splice(0)) closeSync(fd);
  };
  try {
    hand(join(plan.runDirectory, 'qemu.log'), 'w', 2);
    stdio[3] = plan.memoryFd;
    if (plan.statePath) hand(plan.statePath, 'r', 4);
    const addFds: string[] = [];
    const layers = plan.layers.map(({ path, writable }, set) => {
      // QEMU opens a writable layer both ways.
      for (const flags of writable ? (['r+', 'r'] as const) : (['r'] as const)) {
        addFds.push('-add-fd', `fd=${hand(path, flags)},set=${set}`);
      }
      return { path: `/dev/fdset/${set}`, writable };
    });
    const named = (path: string): string => `/proc/self/fd/${hand(path, 'r')}`;
    const kernel = plan.kernel && {
      ...plan.kernel,
      image: named(plan.kernel.image),
      initramfs: named(plan.kernel.initramfs),
    };
    return { stdio: Array.from(stdio, (fd) => fd ?? 'ignore'), layers, kernel, addFds, close };
  } catch (error) {
    close();
    throw error;
  }
}

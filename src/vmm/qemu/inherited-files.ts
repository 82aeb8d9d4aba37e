// QEMU gets open files, not paths: its user can read none of the directories they are in.
import { closeSync, fstatSync, openSync } from 'node:fs';
import { Fault } from '../../lib/errors.ts';
import type { DiskLayer, LaunchPlan } from './machine-shape.ts';

export interface InheritedFiles {
  /** By descriptor number, from 0. */
  stdio: ('ignore' | 'pipe' | number)[];
  /** Under the names that QEMU knows them by. */
  layers: DiskLayer[];
  kernel: LaunchPlan['kernel'] | undefined;
  /** Arguments that group the disks' descriptors. */
  addFds: string[];
  /** Ours are not needed once QEMU has its own. */
  close(): void;
}

export interface FilePlan {
  memoryFd: number;
  statePath?: string;
  layers: DiskLayer[];
  kernel?: LaunchPlan['kernel'] | undefined;
}

/** 3 is the memory, 4 the device state (machine-shape.ts), 9 the tap (host/launch). */
const firstFreeDescriptor = 10;

/** What other VMs or a later life start from must be out of reach of any VMM's user, whatever a crash left. */
function checkOurs(file: string, fd: number): void {
  const { uid, mode } = fstatSync(fd);
  if (uid === process.getuid?.() && (mode & 0o022) === 0) return;
  throw new Fault('snapshot_corrupt', { file, why: 'others than the server could have written it' });
}

/** Opens everything. Throws, with nothing left open, when a file is missing, or `snapshot_corrupt` when a lower layer is not ours alone. */
export function inheritFiles(plan: FilePlan): InheritedFiles {
  const opened: number[] = [];
  // A pipe for what it says: a file could be made to grow.
  const stdio: ('pipe' | number | undefined)[] = [undefined, undefined, 'pipe'];
  const hand = (path: string, flags: 'r' | 'r+', at = Math.max(firstFreeDescriptor, stdio.length)): number => {
    const fd = openSync(path, flags);
    opened.push(fd);
    stdio[at] = fd;
    return at;
  };
  const close = (): void => {
    for (const fd of opened.splice(0)) closeSync(fd);
  };
  try {
    stdio[3] = plan.memoryFd;
    if (plan.statePath) hand(plan.statePath, 'r', 4);
    const addFds: string[] = [];
    const layers = plan.layers.map((layer, set) => {
      // QEMU opens a writable layer both ways.
      for (const flags of layer.writable ? (['r+', 'r'] as const) : (['r'] as const)) {
        addFds.push('-add-fd', `fd=${hand(layer.path, flags)},set=${set}`);
      }
      if (!layer.writable) checkOurs(layer.path, opened.at(-1) ?? -1);
      return { ...layer, path: `/dev/fdset/${set}` };
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

// The jail of one VMM: what the launcher is told, and the limits of its cgroup. docs/security.md says what each part is against.
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import type { CgroupTree } from '../cgroup/cgroup-tree.ts';
import type { GroupLimits } from '../cgroup/limits.ts';
import type { CpuShare, MachineSize, Wire } from '../driver.ts';
import type { JailFiles } from './jail-files.ts';
import type { DiskLayer } from './machine-shape.ts';

/** Made once for a driver. */
export interface Jail {
  /** `host/launch`. */
  launcher: string;
  files: JailFiles;
  /** To be opened, and the group that may: with KVM. */
  device?: { path: string; group?: number };
  cgroups: CgroupTree;
  /** Process ids of the VMMs that were started from it, or adopted into it, and live. */
  pids: Set<number>;
}

export interface JailPlan {
  jail: Jail;
  /** The new root is mounted here, and the scratch directory has the same path inside. */
  runDirectory: string;
  layers: DiskLayer[];
  wire?: Wire;
  /** Descriptors that it inherits, counted from 0; the tap comes among them. */
  descriptors: number;
}

/** User of a VM without a slot. */
const nobody = 65534;
/** Sockets and one device state, which is some hundred KiB. */
const scratchBytes = 8 << 20;
const smallFileBytes = 64 << 20;
const usualDescriptors = 256;
/** Inherited, and as QEMU keeps them. */
const descriptorsPerLayer = 4;

/** The words of host/launch/plan.go, up to the command. */
export function launcherWords({ jail, runDirectory, layers, wire, descriptors }: JailPlan): string[] {
  const { links, directories, files } = jail.files;
  const { device } = jail;
  return [
    ...(wire ? [`netns=/run/netns/${wire.namespace}`, `tap=${wire.tap}`] : []),
    `root=${runDirectory}`,
    ...links.map(([path, target]) => `link=${path}:${target}`),
    ...directories.map((path) => `directory=${path}`),
    ...files.map((path) => `file=${path}`),
    ...(device ? [`device=${device.path}`] : []),
    `scratch=${runDirectory}`,
    `scratch-bytes=${scratchBytes}`,
    `max-file=${Math.max(smallFileBytes, ...layers.filter((layer) => layer.writable).map(fullBytes))}`,
    `keep-below=${descriptors}`,
    `max-open=${usualDescriptors + layers.length * descriptorsPerLayer}`,
    `uid=${wire?.uid ?? nobody}`,
    ...(device?.group ? [`group=${device.group}`] : []),
  ];
}

/** How large the file of a disk layer may become: its disk, full, with qcow2's own tables. A raw one is as long as it will be. */
function fullBytes({ path, format }: DiskLayer): number {
  const fd = openSync(path, 'r');
  try {
    if (format === 'raw') return fstatSync(fd).size;
    const header = Buffer.alloc(32);
    readSync(fd, header, 0, header.length, 0);
    // https://www.qemu.org/docs/master/interop/qcow2.html: magic, …, virtual size at byte 24.
    const bytes = Number(header.readBigUInt64BE(24));
    return bytes + Math.ceil(bytes / 256) + smallFileBytes;
  } finally {
    closeSync(fd);
  }
}

/** QEMU itself, its translated code (TCG, 64 MiB), page cache of its disks that cannot be dropped at once. */
const overheadBytes = 256 << 20;
/** QEMU's pool for disk requests grows to 64 threads; a few threads are always there. */
const otherThreads = 64 + 16;

/**
 * The limits of a VM's cgroup. Twice its memory: what a VM writes is its own page, and where the image has a hole, the first one to
 * touch the page is also charged for the image's (docs/decisions/0005-the-jail.md).
 */
export function groupLimits(size: MachineSize, cpu: CpuShare | undefined): GroupLimits {
  const memoryBytes = 2 * size.memoryMib * 1024 * 1024 + overheadBytes;
  return { memoryBytes, pids: size.vcpus + otherThreads, ...(cpu ? { cpu } : {}) };
}

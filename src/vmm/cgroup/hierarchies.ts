// Where this machine's cgroups are: version 1 has a hierarchy for each controller, version 2 has one for all. Read from two files
// of /proc, since distributions and containers mount them anywhere. https://docs.kernel.org/admin-guide/cgroup-v2.html
import { join, posix } from 'node:path';
import { Fault } from '../../lib/errors.ts';

/** The controllers that bound a VM. */
export const controllers = ['memory', 'cpu', 'pids'] as const;
export type Controller = (typeof controllers)[number];

/** Directories below which groups may be made. */
export type Hierarchies =
  | { version: 1; parents: Record<Controller, string> }
  | { version: 2; parents: { unified: string } };

interface Mount {
  /** What part of the hierarchy is mounted. */
  root: string;
  at: string;
  kind: string;
  options: string[];
}

function mountsOf(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , root, at] = left.split(' ');
    const [kind, , options] = right.split(' ');
    return root && at && kind?.startsWith('cgroup') ? [{ root, at, kind, options: options?.split(',') ?? [] }] : [];
  });
}

/** This process's group in a hierarchy of version 1, as a directory. */
function ownDirectory(mount: Mount, controller: Controller, ownGroups: string): string {
  const line = ownGroups.split('\n').find((text) => text.split(':')[1]?.split(',').includes(controller));
  const path = line?.split(':').slice(2).join(':') ?? '/';
  const below = posix.relative(mount.root, path);
  // A container sees its own group as the root of the mount, but may be told its path from further up.
  return below.startsWith('..') ? mount.at : join(mount.at, below);
}

/**
 * Finds them in the text of /proc/self/mountinfo and /proc/self/cgroup. Version 1: below this process's own group. Version 2: below
 * `parent`, or the root of the hierarchy. Throws `missing_right` when a controller is nowhere.
 */
export function findHierarchies(mountinfo: string, ownGroups: string, parent?: string): Hierarchies {
  const mounts = mountsOf(mountinfo);
  const found = controllers.map((controller) => ({
    controller,
    mount: mounts.find(({ kind, options }) => kind === 'cgroup' && options.includes(controller)),
  }));
  const unified = mounts.find(({ kind }) => kind === 'cgroup2');
  if (unified && found.every(({ mount }) => mount === undefined))
    return { version: 2, parents: { unified: parent ?? unified.at } };
  const parents: Partial<Record<Controller, string>> = {};
  for (const { controller, mount } of found)
    if (mount) parents[controller] = ownDirectory(mount, controller, ownGroups);
  const { memory, cpu, pids } = parents;
  if (memory && cpu && pids) return { version: 1, parents: { memory, cpu, pids } };
  const missing = found.filter(({ mount }) => !mount).map(({ controller }) => controller);
  throw new Fault('missing_right', {
    what: 'The jail of a VM',
    right: `the cgroup controllers ${missing.join(', ')}, which are not mounted here`,
    next: 'Mount cgroup2 at /sys/fs/cgroup, or give this container the cgroups of its host.',
  });
}

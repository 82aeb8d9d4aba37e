// The cgroups of one server: a group for all of its VMs, in it one for each VM. https://docs.kernel.org/admin-guide/cgroup-v2.html
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, Fault } from '../../lib/errors.ts';
import { clearGroup, errorCode, groupsIn, makeGroup, put, removeGroup } from './group-directory.ts';
import { controllers, findHierarchies, type Hierarchies } from './hierarchies.ts';
import { type GroupLimits, settingsOf } from './limits.ts';

export interface Cgroup {
  /** By which a later server finds it. */
  readonly name: string;
  /** `cgroup.procs` of each hierarchy. */
  readonly joinPaths: string[];
  /** Moves a process with all its threads. Takes some 20 ms, since the kernel waits for every processor. */
  join(pid: number): Promise<void>;
  /** Did the kernel end a process of this group because of its memory? */
  outOfMemory(): Promise<boolean>;
  /** Its processes must have been ended. Idempotent. Rejects with `deadline_exceeded` while something lives in it. */
  remove(): Promise<void>;
  /** It stays, with what lives in it, for a later server. */
  leave(): void;
}

export interface CgroupTree {
  /** The name of the group begins with `owner`; no group, of an earlier server either, has it already. */
  create(owner: string, limits: GroupLimits): Promise<Cgroup>;
  /** A group that an earlier server left. */
  adopt(name: string): Cgroup;
  /** Owners of what `sweep` would end. */
  left(keep: (owner: string) => boolean): Promise<string[]>;
  /** Ends and removes what earlier servers left, except for the groups of owners that are to be kept. Resolves with their owners. */
  sweep(keep: (owner: string) => boolean): Promise<string[]>;
  /** Removes what is left of it, except for groups that were left or are an earlier server's. Every other VM must have ended. */
  close(): Promise<void>;
}

/** Who a group was made for, by its name. */
const ownerOf = (name: string): string => name.replace(/-[0-9a-f]{8}$/, '');

/**
 * The share of all VMs together beside the other groups and processes around it, the server's among them: no more than one of those
 * has, so that guests who want every processor leave the server its own.
 */
const weightOfAll = { 1: ['cpu.shares', '1024'], 2: ['cpu.weight', '100'] } as const;

/** What an earlier server of the same instance left stays as it is, for `adopt` and `sweep`. Rejects with `missing_right` where groups cannot be made. */
export async function openCgroupTree(options: { instance: string; parent?: string }): Promise<CgroupTree> {
  const [mountinfo, own] = await Promise.all(
    ['mountinfo', 'cgroup'].map((name) => readFile(`/proc/self/${name}`, 'utf8')),
  );
  const found = findHierarchies(mountinfo ?? '', own ?? '', options.parent);
  const name = `waterbear-${options.instance}`;
  const roots = Object.fromEntries(Object.entries(found.parents).map(([where, path]) => [where, join(path, name)]));
  const made: string[] = [];
  try {
    if (found.version === 2) await passOn(found.parents.unified);
    for (const root of Object.values(roots)) if (await makeGroup(root)) made.push(root);
    if (found.version === 2) await passOn(roots.unified ?? '');
    const [file, weight] = weightOfAll[found.version];
    await put(roots[found.version === 2 ? 'unified' : 'cpu'] ?? '', file, weight);
  } catch (cause) {
    for (const root of made) await removeGroup(root).catch(() => {});
    throw cannot(cause);
  }
  return new Tree(found.version, roots);
}

/** Version 2: lets the groups below `directory` have the controllers. Refused with EBUSY where processes live in `directory` itself. */
async function passOn(directory: string): Promise<void> {
  const wanted = controllers.map((name) => `+${name}`).join(' ');
  await put(directory, 'cgroup.subtree_control', wanted);
}

function cannot(cause: unknown): Fault {
  const next = {
    EBUSY:
      'Processes live in the group that is to be divided: move them into a child group, or give this container the cgroups of its host.',
    ENOENT: 'Let the controllers memory, cpu and pids reach this server: as a systemd service, with Delegate=yes.',
  }[errorCode(cause) ?? ''];
  return new Fault(
    'missing_right',
    {
      what: 'The jail of a VM',
      right: `to make cgroups (${describe(cause)})`,
      next: next ?? 'Start the server as root; as a systemd service, with Delegate=yes.',
    },
    cause,
  );
}

class Tree implements CgroupTree {
  readonly #version: Hierarchies['version'];
  /** By controller, or `unified`. */
  readonly #roots: Record<string, string>;
  /** Those of this server's VMs, by name. */
  readonly #live = new Map<string, Group>();

  constructor(version: Hierarchies['version'], roots: Record<string, string>) {
    this.#version = version;
    this.#roots = roots;
  }

  async create(owner: string, limits: GroupLimits): Promise<Cgroup> {
    // A VM may wake before the group of its last life is gone.
    const group = this.#group(`${owner}-${randomBytes(4).toString('hex')}`);
    const { directories } = group;
    try {
      for (const directory of Object.values(directories)) await mkdir(directory);
      for (const { where, file, value, optional } of settingsOf(this.#version, limits)) {
        await put(directories[where] ?? '', file, value).catch((error: unknown) => {
          // Version 1 takes no quota above the parent's, which then is the cap.
          const capped = file === 'cpu.cfs_quota_us' && errorCode(error) === 'EINVAL';
          if (!capped && !optional) throw error;
        });
      }
      return group;
    } catch (error) {
      await group.remove();
      throw error;
    }
  }

  adopt(name: string): Cgroup {
    return this.#group(name);
  }

  async sweep(keep: (owner: string) => boolean): Promise<string[]> {
    const groups = await this.#left(keep);
    for (const { root, name } of groups) await clearGroup(join(root, name));
    return [...new Set(groups.map(({ name }) => ownerOf(name)))];
  }

  async left(keep: (owner: string) => boolean): Promise<string[]> {
    return [...new Set((await this.#left(keep)).map(({ name }) => ownerOf(name)))];
  }

  async #left(keep: (owner: string) => boolean): Promise<{ root: string; name: string }[]> {
    const found: { root: string; name: string }[] = [];
    for (const root of Object.values(this.#roots)) {
      const names = (await groupsIn(root)).filter((name) => !this.#live.has(name) && !keep(ownerOf(name)));
      found.push(...names.map((name) => ({ root, name })));
    }
    return found;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#live.values()].map((group) => group.remove()));
    for (const root of Object.values(this.#roots)) if ((await groupsIn(root)).length === 0) await removeGroup(root);
  }

  #group(name: string): Group {
    const directories = Object.fromEntries(
      Object.entries(this.#roots).map(([where, root]) => [where, join(root, name)]),
    );
    const group = new Group(this.#version, name, directories, () => this.#live.delete(name));
    this.#live.set(name, group);
    return group;
  }
}

class Group implements Cgroup {
  readonly name: string;
  readonly joinPaths: string[];
  readonly directories: Record<string, string>;
  readonly #version: Hierarchies['version'];
  readonly #forget: () => void;
  #removing: Promise<void> | undefined;

  constructor(version: Hierarchies['version'], name: string, directories: Record<string, string>, forget: () => void) {
    this.name = name;
    this.#version = version;
    this.directories = directories;
    this.#forget = forget;
    this.joinPaths = Object.values(directories).map((directory) => join(directory, 'cgroup.procs'));
  }

  async join(pid: number): Promise<void> {
    for (const directory of Object.values(this.directories)) await put(directory, 'cgroup.procs', String(pid));
  }

  async outOfMemory(): Promise<boolean> {
    const [where, file] = this.#version === 1 ? ['memory', 'memory.oom_control'] : ['unified', 'memory.events'];
    const text = await readFile(join(this.directories[where] ?? '', file), 'utf8').catch(() => '');
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
  }

  remove(): Promise<void> {
    this.#removing ??= Promise.all(Object.values(this.directories).map(removeGroup)).then(() => this.#forget());
    return this.#removing;
  }

  leave(): void {
    this.#forget();
  }
}

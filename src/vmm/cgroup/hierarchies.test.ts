// Where cgroups are on a machine, told from its two files of /proc.
import { expect, test } from 'vitest';
import { findHierarchies } from './hierarchies.ts';

const first = `
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`;
const second = '30 23 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate';

test('version 1: below the own group of each hierarchy', () => {
  expect(findHierarchies(first, '8:pids:/\n4:memory:/user/me\n1:cpu,cpuacct:/a:b\n0::/x\n')).toEqual({
    version: 1,
    parents: {
      memory: '/sys/fs/cgroup/memory/user/me',
      cpu: '/sys/fs/cgroup/cpu,cpuacct/a:b',
      pids: '/sys/fs/cgroup/pids',
    },
  });
});

test('version 1 in a container that sees only its own part', () => {
  const inside = first.replaceAll(' / /sys/fs/cgroup/', ' /docker/abc /sys/fs/cgroup/');
  const groups = '8:pids:/docker/abc\n4:memory:/docker/abc/child\n1:cpu,cpuacct:/\n';
  expect(findHierarchies(inside, groups)).toMatchObject({
    parents: {
      memory: '/sys/fs/cgroup/memory/child',
      cpu: '/sys/fs/cgroup/cpu,cpuacct',
      pids: '/sys/fs/cgroup/pids',
    },
  });
});

test('version 2: the root of the hierarchy, or the group that was named', () => {
  expect(findHierarchies(second, '0::/x')).toEqual({ version: 2, parents: { unified: '/sys/fs/cgroup' } });
  expect(findHierarchies(second, '0::/x', '/sys/fs/cgroup/mine').parents).toEqual({ unified: '/sys/fs/cgroup/mine' });
});

test('what is missing is named', () => {
  expect(() => findHierarchies('', '')).toThrow(/memory, cpu, pids/);
  const some = first.replace('rw,memory', 'rw,blkio');
  expect(() => findHierarchies(some, '')).toThrow(/controllers memory, which/);
});

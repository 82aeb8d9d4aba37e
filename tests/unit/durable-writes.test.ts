// Whatever must outlive the process is written by one module, which syncs and in which tests make disks fail. Who else may write, and what.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const source = resolve(import.meta.dirname, '../../src');

/** Nothing of this has to be there after a crash. */
const exceptions: Record<string, string> = {
  'lib/durable-file.ts': 'the one module',
  'lib/line-file.ts': 'the access log',
  'build/archive.ts': 'the unpacked zip of a build on the host',
  'build/root-disk.ts': 'the Dockerfile of a build on the host',
  'build/storage.ts': 'the container storage of builds on the host',
  'net/host-network.ts': '/proc/sys',
  'node/journal.ts': 'the run directory',
  'node/local-node.ts': 'the run directory',
  'store/open-store.ts': 'the mode of the database, whose content is SQLite’s',
  'vmm/cgroup/cgroup-tree.ts': 'cgroups',
  'vmm/cgroup/group-directory.ts': 'cgroups',
  'vmm/fake/fake-driver.ts': 'the run directory',
  'vmm/fake/fake-machine.ts': 'the run directory',
  'vmm/fake/orphans.ts': 'the run directory',
  'vmm/qemu/memfd.ts': 'the memory of VMs',
  'vmm/qemu/process-memory.ts': '/proc/PID/mem',
  'vmm/qemu/savers.ts': 'the scratch directory of a VMM, below the run directory',
  'vmm/qemu/vmm-record.ts': 'the run directory',
};

const writers =
  /\b(appendFile|chmod|chown|copyFile|cp|createWriteStream|fsync|ftruncate|link|mkdir|mkdtemp|rename|rm|rmdir|symlink|truncate|unlink|utimes|write|writeFile|writev|default)(Sync)?\b/;

const openedForWriting = /\bopen(Sync)?\(.*('(r\+|[wa]x?\+?)'|O_(WRONLY|RDWR|CREAT))/;

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
  (name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && !name.includes('/testing/'),
);

function writes(name: string): boolean {
  const text = readFileSync(join(source, name), 'utf8');
  const imported = [...text.matchAll(/import\s+(?!type\s)([^;]*?)\s+from\s+'node:fs(\/promises)?'/g)].map(
    (match) => match[1] ?? '',
  );
  if (imported.length === 0) return false;
  return imported.some((names) => writers.test(names) || !names.startsWith('{')) || openedForWriting.test(text);
}

test('only one module writes what must outlive the process', () => {
  expect(files.filter((name) => writes(name) && !(name in exceptions))).toEqual([]);
});

test('the exceptions are files that write', () => {
  expect(Object.keys(exceptions).filter((name) => !writes(name))).toEqual([]);
});

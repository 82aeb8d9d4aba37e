// The jail of a real VM's VMM, looked at from outside: what it is, sees, holds and may use.
import { access, chmod, chown, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { instanceOf } from '../../src/node/layout.ts';
import { cgroupOf, factsOf, limitMemory } from '../support/cgroup-facts.ts';
import { type Descriptor, descriptorsOf, limitsOf, mountsOf, namespaceOf, statusOf } from '../support/process-facts.ts';
import { ask, buildOrder, projectZip, type RealNode, startRealNode } from '../support/real-node.ts';

const memoryMib = 512;
let host: RealNode;
let buildId = '';
let instance = '';
/** Of the VMMs of two MicroVMs; the first one has slept once, so that it has a sleeping layer too. */
let pids: [number, number];

async function vmmOf(name: string): Promise<number> {
  for (const pid of await readdir('/proc')) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes('qemu-system') && command.includes(`/${name.slice(-12)}/`)) return Number(pid);
  }
  throw new Error(`no VMM of ${name}`);
}

async function launch(name: string): Promise<number> {
  await host.node.launch({ microvmId: name, buildId });
  return vmmOf(name);
}

beforeAll(async () => {
  host = await startRealNode();
  instance = instanceOf(host.directory);
  const archivePath = join(host.directory, 'state.zip');
  await writeFile(archivePath, await projectZip('state'));
  const build = buildOrder(archivePath, { memoryMib });
  buildId = build.buildId;
  await host.node.build(build, () => {});
  await launch('microvm-jailed-one');
  await host.node.suspend('microvm-jailed-one');
  await host.node.resume('microvm-jailed-one');
  pids = [await vmmOf('microvm-jailed-one'), await launch('microvm-jailed-two')];
});
afterAll(() => host?.close());

test('it is a user of its own, with no group and no capability, now or ever', async () => {
  const users = new Set<string>();
  for (const pid of pids) {
    const status = await statusOf(pid);
    const uid = status.Uid?.split(' ')[0] ?? '';
    expect(Number(uid)).toBeGreaterThanOrEqual(1_000_000);
    users.add(uid);
    for (const ids of [status.Uid, status.Gid]) expect(ids?.split(' ')).toEqual([uid, uid, uid, uid]);
    expect(status.Groups).toBe('');
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb']) expect(status[set]).toBe('0000000000000000');
    expect(status.NoNewPrivs).toBe('1');
  }
  expect(users.size).toBe(2);
});

test('every thread of it is behind two filters of system calls: ours and its own', async () => {
  const threads = await readdir(`/proc/${pids[0]}/task`);
  expect(threads.length).toBeGreaterThan(1);
  for (const thread of threads) {
    const status = await statusOf(`${pids[0]}/task/${thread}`);
    expect([status.Seccomp, status.Seccomp_filters]).toEqual(['2', '2']);
  }
});

test('its mounts are exactly these', async () => {
  const scratch = `/run/waterbear-${instance}/m-jailed-one`;
  expect(await mountsOf(pids[0])).toEqual([
    '/ ro,nosuid,nodev,noexec tmpfs',
    '/proc ro,nosuid,nodev,noexec proc',
    `${scratch} rw,nosuid,nodev,noexec tmpfs`,
    '/usr/bin/qemu-system-x86_64 ro,nosuid,nodev host',
    ...['ipxe/qemu', 'x86_64-linux-gnu'].map((name) => `/usr/lib/${name} ro,nosuid,nodev host`),
    '/usr/lib64 ro,nosuid,nodev host',
    ...['qemu', 'seabios'].map((name) => `/usr/share/${name} ro,nosuid,nodev host`),
  ]);
  const lines = await readFile(`/proc/${pids[0]}/mountinfo`, 'utf8');
  expect(lines).toMatch(/ \/proc .* - proc proc ro,hidepid=invisible,subset=pid$/m);
  expect(lines).toMatch(/ - tmpfs scratch rw,size=8192k,nr_inodes=64,mode=700,/);
});

test('its root holds nothing else of the host', async () => {
  const root = `/proc/${pids[0]}/root`;
  expect((await readdir(root)).sort()).toEqual(['lib', 'lib64', 'proc', 'run', 'usr']);
  expect((await readdir(`${root}/usr`)).sort()).toEqual(['bin', 'lib', 'lib64', 'share']);
  expect(await readdir(`${root}/usr/bin`)).toEqual(['qemu-system-x86_64']);
  expect(await readdir(`${root}/run`)).toEqual([`waterbear-${instance}`]);
  expect(await readdir(`${root}/run/waterbear-${instance}`)).toEqual(['m-jailed-one']);
  for (const path of ['/etc/passwd', '/sys', '/dev', host.directory, '/bin/sh'])
    await expect(access(`${root}${path}`)).rejects.toThrow('ENOENT');
  // The scratch directory is not the host's: what a VMM puts there, the host's file systems never see.
  const runDirectory = `/run/waterbear-${instance}/m-jailed-one`;
  expect(await readdir(runDirectory)).toEqual(['vmm.json']);
  // And what the server notes there for the next one, the VMM does not see.
  expect((await readdir(`${root}${runDirectory}`)).sort()).toEqual([
    'console.sock',
    'control.sock',
    'log.sock',
    'qmp.sock',
  ]);
});

test('its memory is never merged with equal pages of others', async () => {
  const maps = await readFile(`/proc/${pids[0]}/smaps`, 'utf8');
  const guest = maps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).filter((one) => /memfd:/.test(one));
  expect(guest.length).toBeGreaterThan(0);
  for (const mapping of guest) expect(/^VmFlags: (.*)$/m.exec(mapping)?.[1]?.split(' ')).not.toContain('mg');
});

test('its namespaces are neither ours nor its neighbour’s', async () => {
  for (const kind of ['mnt', 'ipc', 'uts', 'net']) {
    const three = await Promise.all(['self', ...pids].map((pid) => namespaceOf(pid, kind)));
    expect(new Set(three).size).toBe(3);
  }
});

test('all its threads are in a cgroup with its limits, those of its size among them', async () => {
  const memoryMax = String((2 * memoryMib + 256) << 20);
  const limits = {
    memory: { memoryMax },
    pids: { pidsMax: '81' },
    // A quarter of a processor, and four times that while others leave it.
    cpu: { cpuMax: '100000 100000', cpuWeight: '25' },
  };
  for (const [controller, expected] of Object.entries(limits)) {
    const group = await cgroupOf(pids[0], controller);
    expect(group).toContain(`/waterbear-${instance}/m-jailed-one-`);
    expect(await factsOf(group)).toMatchObject(expected);
    for (const thread of await readdir(`/proc/${pids[0]}/task`))
      expect(await cgroupOf(`${pids[0]}/task/${thread}`, controller)).toBe(group);
    expect(await cgroupOf(pids[1], controller)).not.toBe(group);
    expect(await cgroupOf('self', controller)).not.toContain(instance);
  }
  const { swapMax } = await factsOf(await cgroupOf(pids[0], 'memory'));
  expect([undefined, '0', memoryMax]).toContain(swapMax);
});

test('its resource limits leave no room', async () => {
  const limits = await limitsOf(pids[0]);
  for (const name of ['core file size', 'locked memory', 'msgqueue size', 'nice priority', 'realtime priority'])
    expect(limits[`Max ${name}`]).toEqual(['0', '0']);
  const disk = 8192 * 2 ** 20;
  const largest = Number(limits['Max file size']?.[1]);
  expect(largest).toBeGreaterThan(disk);
  expect(largest).toBeLessThan(disk * 1.02);
  expect(Number(limits['Max open files']?.[1])).toBeLessThan(512);
  expect((await readFile(`/proc/${pids[0]}/oom_score_adj`, 'utf8')).trim()).toBe('500');
});

/** Whether the VMM's own user, with no right beyond, can open it for reading and writing again. */
async function reopens(pid: number, { number }: Descriptor): Promise<boolean> {
  const uid = (await statusOf(pid)).Uid?.split(' ')[0] ?? '';
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--bounding-set=-all', '--inh-caps=-all'];
  const tried = run('setpriv', [...user, 'sh', '-c', `: <> /proc/${pid}/fd/${number}`]);
  return tried.then(
    () => true,
    () => false,
  );
}

test('it can write its own top layer and its own memory, and nothing else that it holds', async () => {
  const [pid] = pids;
  const held = await descriptorsOf(pid);
  const disks = held.filter(({ link }) => link.endsWith('.qcow2'));
  const names = (list: Descriptor[]): string[] => [...new Set(list.map(({ link }) => link))].sort();
  const vm = join(host.directory, 'vms/microvm-jailed-one/disk');
  const image = join(host.directory, 'images', buildId);
  const top = join(vm, 'layer-2.qcow2');
  expect(names(disks)).toEqual([join(image, 'init.qcow2'), join(image, 'root.qcow2'), join(vm, 'layer-1.qcow2'), top]);
  expect(names(disks.filter(({ writable }) => writable))).toEqual([top]);
  for (const disk of disks) {
    expect(await reopens(pid, disk)).toBe(false);
    expect(await stat(disk.link)).toMatchObject({ uid: 0, gid: 0 });
    if (disk.link !== top) expect((await stat(disk.link)).mode & 0o777).toBe(0o600);
  }
  const files = held.filter(({ link, writable }) => writable && !/^(socket|anon_inode):/.test(link));
  expect(names(files.filter(({ link }) => link !== top && !link.startsWith('/memfd:wb-')))).toEqual([
    '/dev/net/tun',
    '/dev/null',
  ]);
  // The check itself must be able to see a file that can be opened.
  const [first] = disks.filter(({ link }) => link.endsWith('layer-1.qcow2'));
  if (!first) throw new Error('no sleeping layer');
  await chmod(first.link, 0o666);
  expect(await reopens(pid, first)).toBe(true);
  await chmod(first.link, 0o600);
});

test('the memory of the image is sealed', async () => {
  const memory = (await descriptorsOf(pids[0])).filter(({ link }) => link.startsWith('/memfd:wb-'));
  expect(memory.length).toBeGreaterThan(0);
  for (const { number } of memory)
    await expect(writeFile(`/proc/${pids[0]}/fd/${number}`, 'x', { flag: 'r+' })).rejects.toThrow('EPERM');
});

test('a lower layer that a VMM could have written is refused', async () => {
  const name = 'microvm-open-layer';
  await launch(name);
  await host.node.suspend(name);
  const layer = join(host.directory, 'vms', name, 'disk/layer-1.qcow2');
  for (const harm of [() => chmod(layer, 0o666), () => chown(layer, 900_001, 0)]) {
    await harm();
    const refused = { code: 'snapshot_corrupt', facts: { file: layer } };
    await expect(host.node.resume(name)).rejects.toMatchObject(refused);
    await chown(layer, 0, 0);
    await chmod(layer, 0o600);
  }
  await host.node.resume(name);
  await host.node.terminate(name);
});

const endOf = (name: string): Promise<string> =>
  new Promise((resolve) => host.node.onEnded((id, { what }) => id === name && resolve(what)));

test('one that needs more memory than its limit is ended, and the reason says so', async () => {
  const name = 'microvm-hungry';
  const group = await cgroupOf(await launch(name), 'memory');
  // Its own group and nobody else's: the limit is about to be lowered.
  expect(group).toContain(`/waterbear-${instance}/`);
  const ended = endOf(name);
  // As if its limit had been where it stands now.
  await limitMemory(group, Number((await factsOf(group)).memoryCurrent) + (1 << 20));
  const touch = async (): Promise<void> => {
    for (let i = 0; i < 50; i++) await ask(host.node, name, '/', 'x'.repeat(60_000));
  };
  const [what] = await Promise.all([ended, touch().catch(() => {})]);
  expect(what).toContain('used more memory than its limit on the host');
});

test('a VM that ended leaves no cgroup, and a server that closed none at all', async () => {
  const tops = await Promise.all(
    ['memory', 'cpu', 'pids'].map(async (name) => join(await cgroupOf(pids[0], name), '..')),
  );
  process.kill(pids[1], 'SIGKILL');
  await host.node.suspend('microvm-jailed-one');
  for (const top of tops) {
    const groups = async (): Promise<string[]> =>
      (await readdir(top, { withFileTypes: true })).filter((one) => one.isDirectory()).map(({ name }) => name);
    await expect.poll(groups, { timeout: 10_000 }).toEqual([]);
  }
  await host.node.close();
  for (const top of tops) await expect(access(top)).rejects.toThrow('ENOENT');
});

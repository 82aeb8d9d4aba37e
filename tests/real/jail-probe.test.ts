// The jail of a VMM, tried from inside: a shell stands in the place of a QEMU that was broken out of, and tries to get further.
import { closeSync, existsSync, openSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { factsOf } from '../support/cgroup-facts.ts';
import { openProbeJail, type Probe, type ProbeJail } from '../support/jail-probe.ts';

const size = { memoryMib: 32, vcpus: 1 };
let jail: ProbeJail;
let neighbour: ProbeJail;

beforeAll(async () => {
  jail = await openProbeJail(0xdbd01, size);
  neighbour = await openProbeJail(0xdbd02, size);
});
afterAll(async () => {
  await jail?.close();
  await neighbour?.close();
});

/** Its cgroup's directory under a controller. The shell itself may be gone already. */
function groupOf(probe: Probe, controller: string): string {
  const { joinPaths } = probe.group;
  const path = joinPaths.length === 1 ? joinPaths[0] : joinPaths.find((one) => one.includes(`/${controller}/`));
  if (!path) throw new Error(`no cgroup of ${controller}`);
  return dirname(path);
}

/** Each command is tried by itself; tells which of them did what they should not be able to. */
async function succeeded(commands: string[]): Promise<string[]> {
  const script = commands.map((command, i) => `(${command}) && echo "did ${i}"`).join('\n');
  const output = await jail.run(`${script}\necho end`);
  expect(output).toContain('end\n[0]');
  return commands.filter((_, i) => output.includes(`did ${i}\n`));
}

test('the shell can do what a VMM must: write in its scratch directory, see itself, use its tap', async () => {
  const needed = [
    `echo x > ${jail.scratch}/file && [ "$(cat ${jail.scratch}/file)" = x ]`,
    '[ -e /proc/self/fd/0 ]',
    '[ -e /usr/lib/x86_64-linux-gnu/libc.so.6 ]',
    // Descriptor 9 is the tap: its name is that of the device.
    'ls -l /proc/self/fd/9 | grep /dev/net/tun',
    'grep tap0 /proc/self/net/dev',
  ];
  expect(await succeeded(needed)).toEqual(needed);
});

test('it finds no file of the host', async () => {
  const other = neighbour.scratch;
  const paths = [
    '/etc',
    '/etc/shadow',
    '/root',
    '/home',
    '/var',
    '/sys',
    '/dev',
    '/tmp/..data',
    '/boot',
    '/bin/ls',
    other,
  ];
  const asked = ['/proc/cpuinfo', '/proc/sys', '/proc/sysrq-trigger', '/proc/kallsyms', '/proc/modules', '/proc/keys'];
  expect(await succeeded([...paths, ...asked].map((path) => `[ -e ${path} ]`))).toEqual([]);
  const output = await jail.run('ls / /usr /usr/bin /bin; cd ..; cd ../..; pwd; ls; ls -d /proc/1 /proc/self/root/..');
  expect(output).not.toMatch(/etc|home|var|sys\b|dev\b/);
  expect(output).toContain('/proc/1: No such file');
});

test('it can write nowhere else, and not much there', async () => {
  const places = [
    '/',
    '/usr',
    '/usr/bin',
    '/usr/lib/x86_64-linux-gnu',
    '/usr/share/qemu',
    '/usr/lib64',
    '/run',
    '/proc/self',
  ];
  const attempts = places.flatMap((place) => [`echo x > ${place}/new`, `mkdir ${place}/new`, `ln -s x ${place}/new`]);
  const existing = [
    '/bin/busybox',
    '/usr/lib/x86_64-linux-gnu/libc.so.6',
    '/proc/self/oom_score_adj',
    '/proc/self/comm',
  ];
  expect(await succeeded([...attempts, ...existing.map((path) => `echo 1 >> ${path}`)])).toEqual([]);
  const full = await jail.run(
    `cd ${jail.scratch}; yes > big; ls -l big; i=0; while echo > f$i; do i=$((i+1)); done; echo $i; rm -f *`,
  );
  expect(full).toContain('No space left on device');
  expect(Number(/ (\d+) \S+ +\d+ \S+ big/.exec(full)?.[1])).toBeLessThanOrEqual(8 << 20);
  expect(Number(/^(\d+)$/m.exec(full)?.[1])).toBeLessThan(64);
});

test('a file that it was given cannot grow past the limit', async () => {
  const path = join(jail.scratch, '../waterbear-jail-growing');
  await writeFile(path, '');
  const fd = openSync(path, 'r+');
  try {
    const probe = await jail.start('dd if=/bin/busybox bs=1 count=1 seek=99999999 >&10; echo "dd $?"', {
      inherited: [fd],
    });
    expect(await probe.output).toMatch(/dd 153/);
  } finally {
    closeSync(fd);
    await run('rm', ['-f', path]);
  }
});

test('it can run nothing from where it can write', async () => {
  expect(await succeeded([`cp /bin/busybox ${jail.scratch}/ls && ${jail.scratch}/ls /`])).toEqual([]);
});

test('it sees and signals no process of another user', async () => {
  const victim = await neighbour.start('sleep 30');
  try {
    const pids = [process.pid, victim.pid, 1];
    expect(await succeeded(pids.flatMap((pid) => [`kill -0 ${pid}`, `[ -e /proc/${pid} ]`]))).toEqual([]);
    const seen = await jail.run('ls /proc');
    expect(seen).not.toContain(`${victim.pid}`);
    expect(seen.split('\n').filter((name) => /^\d+$/.test(name)).length).toBeLessThanOrEqual(2);
    expect((await readdir('/proc')).includes(String(victim.pid))).toBe(true);
  } finally {
    process.kill(victim.pid, 'SIGKILL');
    await victim.output;
  }
});

test('it becomes nobody else and gets no right back', async () => {
  const attempts = [
    'mount -t tmpfs x /usr',
    `mount -o bind / ${jail.scratch}`,
    'mount -o remount,rw /',
    'umount /proc',
    `mknod ${jail.scratch}/null c 1 3`,
    `mknod ${jail.scratch}/disk b 254 0`,
    'chroot /usr /bin/busybox true',
    'unshare -U true',
    'unshare -m true',
    'unshare -n true',
    'hostname other',
    `chown 0 ${jail.scratch}`,
    'renice -n -5 $$',
    'ulimit -c 1',
    'ulimit -f unlimited',
    'ulimit -n 100000',
    'insmod /bin/busybox',
    'reboot -f',
    'dmesg',
  ];
  expect(await succeeded(attempts)).toEqual([]);
  // A set-user-id program would gain nothing either.
  const status = await jail.run('cat /proc/self/status');
  expect(status).toMatch(/NoNewPrivs:\s1\n(.*\n)*Seccomp:\s2\nSeccomp_filters:\s1/);
});

test('it has no socket but unix ones', async () => {
  const attempts = ['nc -w 1 127.0.0.1 1', 'ip link show', 'telnet 127.0.0.1 1'];
  const output = await jail.run(`${attempts.join('\n')}\necho end`);
  expect(output.match(/not permitted/g)?.length).toBe(attempts.length);
  expect(output).toContain('end\n[0]');
});

test('it gets no descriptor but those meant for it', async () => {
  const leak = openSync('/etc/passwd', 'r');
  try {
    const probe = await jail.start('ls -l /proc/self/fd', { inherited: [leak], leaked: [leak, leak] });
    const output = await probe.output;
    expect(output.match(/etc\/passwd/g)?.length).toBe(1);
    expect(output).toMatch(/ 10 -> /);
  } finally {
    closeSync(leak);
  }
});

test('it can fork no further than its number of processes', async () => {
  const pipeline = Array(200).fill('/bin/busybox sleep 20').join(' | ');
  const probe = await jail.start(`${pipeline}; echo all`);
  const group = groupOf(probe, 'pids');
  const count = async (): Promise<number> => Number((await factsOf(group)).pidsCurrent);
  const limit = Number((await factsOf(group)).pidsMax);
  expect(limit).toBe(81);
  await expect.poll(count, { timeout: 20_000 }).toBeGreaterThan(limit - 3);
  const output = probe.output;
  // The shell gives up by itself; what it started holds its output open.
  await expect.poll(() => existsSync(`/proc/${probe.pid}`), { timeout: 20_000 }).toBe(false);
  const members = (await readFile(join(group, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean);
  expect(members.length).toBeLessThanOrEqual(limit);
  for (const pid of members) process.kill(Number(pid), 'SIGKILL');
  const said = await output;
  expect(said).toContain("can't fork");
  expect(said).not.toContain('all\n');
});

test('it can use no more memory than its limit: the kernel ends it and its group knows', async () => {
  const probe = await jail.start(`awk 'BEGIN { s = "x"; for (;;) s = s s }'; echo "awk $?"`);
  const group = groupOf(probe, 'memory');
  const limit = Number((await factsOf(group)).memoryMax);
  expect(limit).toBe((2 * size.memoryMib + 256) << 20);
  expect(await probe.output).toMatch(/awk 137|\[SIGKILL\]/);
  expect(await probe.group.outOfMemory()).toBe(true);
  // Not every kernel remembers the most.
  expect(Number((await factsOf(group)).memoryPeak ?? 0)).toBeLessThanOrEqual(limit);
});

test('its share of the processors is what was ordered', async () => {
  const slow = await openProbeJail(0xdbd03, size, { weight: 25, max: 0.1 });
  try {
    const probe = await slow.start('while :; do :; done');
    const group = groupOf(probe, 'cpu');
    expect(await factsOf(group)).toMatchObject({ cpuWeight: '25', cpuMax: '10000 100000', cpuBurst: '10000' });
    // It is really held back.
    const throttled = async (): Promise<number> =>
      Number(/nr_throttled (\d+)/.exec(await readFile(join(group, 'cpu.stat'), 'utf8'))?.[1]);
    await expect.poll(throttled, { timeout: 20_000 }).toBeGreaterThan(2);
    process.kill(probe.pid, 'SIGKILL');
    await probe.output;
  } finally {
    await slow.close();
  }
});

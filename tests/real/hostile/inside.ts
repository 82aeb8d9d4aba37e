// Probes: what root inside, with a container's capabilities, gets of its agent, its kernel and its machine.
import { expect, test } from 'vitest';
import type { HostileGuest } from '../../support/hostile/hostile-guest.ts';
import type { Rig } from '../../support/hostile/rig.ts';

/** No attempt may come out as `ok`; its error is one of these. */
const denied = /^(EPERM|EACCES|EROFS|ENOENT|ENOSYS|ENODEV|ENXIO|EINVAL|EBUSY|ESRCH|EBADF|ENOTBLK|EOPNOTSUPP|ENOTDIR)$/;

export function insideProbes(rig: () => Rig): void {
  const attacker = (): HostileGuest => rig().attacker;

  /** Each of these Python expressions is an attempt; what came of those that were not denied. */
  const notDenied = async (attempts: readonly string[], user?: number): Promise<string[]> => {
    const results = await attacker().tell<string[]>(`answer([${attempts.join(', ')}])`, user ? { user } : {});
    expect(results).toHaveLength(attempts.length);
    return results.flatMap((result, i) => (denied.test(result) ? [] : [`${attempts[i]}: ${result}`]));
  };
  /** A VM of its own for what may end it; it must not. */
  const alone = async (name: string, work: (guest: HostileGuest) => Promise<void>): Promise<void> => {
    const guest = await rig().host.launch(name, rig().buildId);
    try {
      await work(guest);
      expect(await guest.ping()).toBeGreaterThan(0);
    } finally {
      await rig().host.end(guest);
    }
  };

  test("more capabilities than a container's", async () => {
    const own = await attacker().tell<Record<string, string>>('answer(capabilities())');
    // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap
    const container = '00000000a80425fb';
    expect(own).toMatchObject({ CapEff: container, CapPrm: container, CapBnd: container, CapAmb: '0000000000000000' });
  });

  test("the agent's ports, by device nodes of its own in every place it can write", async () => {
    const found = await attacker().tell<string[]>(`
places = [p for p in ("/dev", "/dev/shm", "/tmp", "/probe", "/run", "/dev/mqueue", "/var/tmp") if os.path.isdir(p)]
ports = [majors().get("virtio-portsdev", 250), *range(240, 255)]
answer([f"{p} {m} {n}" for p in places for m in ports for n in range(4) if node(p + "/port", "c", m, n) == "ok"])`);
    expect(found).toEqual([]);
  });

  test('its disk beneath the file system, memory, ports, kernel log, console, by device nodes', async () => {
    const found = await attacker().tell<string[]>(`
blocks = [(m, n) for m in (majors().get("virtblk", 254), 253, 254, 7, 8, 252) for n in (0, 1, 16)]
characters = [(1, 1), (1, 2), (1, 4), (1, 11), (4, 0), (4, 64), (5, 1), (10, 144), (10, 200), (10, 229), (10, 232), (10, 237)]
made = [("b", *one) for one in blocks] + [("c", *one) for one in characters]
places = ("/dev", "/tmp", "/probe", "/dev/shm")
answer([f"{p} {one}" for p in places for one in made if node(p + "/node", *one) == "ok" or node(p + "/node", *one, os.O_RDONLY) == "ok"])`);
    expect(found).toEqual([]);
  });

  test('nodes that were there: in /dev is only what every container has', async () => {
    const names = await attacker().tell<string[]>('answer(sorted(os.listdir("/dev")))');
    const container = [
      'console',
      'fd',
      'full',
      'mqueue',
      'null',
      'ptmx',
      'pts',
      'random',
      'shm',
      'stderr',
      'stdin',
      'stdout',
      'tty',
      'urandom',
      'zero',
    ];
    expect(names.filter((name) => !container.includes(name))).toEqual([]);
  });

  test('to see the agent among the processes', async () => {
    const seen = await attacker().tell<string[]>(`
names = [pid for pid in os.listdir("/proc") if pid.isdigit()]
answer([attempt(lambda pid=pid: os.readlink(f"/proc/{pid}/exe")) for pid in names])`);
    expect(seen.length).toBeGreaterThan(1);
    expect(seen.filter((exe) => !/python3/.test(exe) && exe !== 'ENOENT')).toEqual([]);
  });

  test('to end the machine by killing process 1 and everything else', async () => {
    await alone('killer', async (guest) => {
      const how = await guest.tell<string[]>(`
import signal
answer([attempt(lambda s=s: os.kill(1, s)) for s in (signal.SIGKILL, signal.SIGSTOP, signal.SIGSEGV)])`);
      expect(how).toHaveLength(3);
      await guest.run('os.kill(-1, 9)', { timeoutMs: 1000 });
    });
  });

  test('the memory and environment of process 1 as an ordinary user', async () => {
    const tried = ['mem', 'environ', 'maps', 'auxv', 'stack', 'syscall'].map((name) => `read("/proc/1/${name}", 64)`);
    const links = ['root', 'cwd', 'exe', 'fd/1', 'ns/pid'].map(
      (name) => `attempt(lambda: os.readlink("/proc/1/${name}"))`,
    );
    const calls = [
      'call("ptrace", 16, 1, 0, 0)',
      'call("ptrace", 0x4206, 1, 0, 0)',
      'call("process_vm_readv", 1, 0, 0, 0, 0, 0)',
    ];
    const left = await notDenied([...tried, ...links, ...calls], 1000);
    // A call without buffers reads nothing, whoever asks.
    expect(left.filter((line) => !/process_vm_readv.*: ok$/.test(line))).toEqual([]);
  });

  test("the agent's own files: its program, modules, identity, the first root", async () => {
    const paths = [
      '/init',
      '/modules',
      '/modules/order',
      '/run/machine-id',
      '/run/boot-id',
      '/proc/1/root/init',
      '/app/init',
      '/../init',
    ];
    expect(await notDenied([...paths.map((path) => `read("${path}")`)])).toEqual([]);
  });

  test('out of its root: the old way with a second chroot, and by file handles', async () => {
    const seen = await attacker().tell<string[]>('answer(escape_chroot())');
    expect(seen).toContain('probe');
    for (const name of ['init', 'modules', 'app']) expect(seen).not.toContain(name);
    expect(
      await notDenied(['call("open_by_handle_at", -100, b"\\x08\\0\\0\\0\\1\\0\\0\\0\\2\\0\\0\\0\\0\\0\\0\\0", 0)']),
    ).toEqual([]);
  });

  test('to mount, unmount, bind, remount, move', async () => {
    const attempts = [
      'call("mount", b"t", b"/tmp", b"tmpfs", 0, None)',
      'call("mount", b"p", b"/tmp", b"proc", 0, None)',
      'call("mount", b"d", b"/tmp", b"devtmpfs", 0, None)',
      'call("mount", b"/dev/vda", b"/tmp", b"ext4", 0, None)',
      'call("mount", b"/proc", b"/tmp", None, 4096, None)',
      'call("mount", None, b"/proc/sys", None, 32 | 4096, None)',
      'call("mount", None, b"/sys", None, 32, None)',
      'call("mount", b"c", b"/tmp", b"cgroup2", 0, None)',
      ...['/proc/sysrq-trigger', '/proc/kcore', '/proc/sys', '/etc/machine-id', '/dev', '/'].map(
        (path) => `call("umount2", b"${path}", 2)`,
      ),
      'call("pivot_root", b"/tmp", b"/tmp")',
      'call("fsopen", b"tmpfs", 0)',
      'call("unshare", 0x20000)',
    ];
    expect(await notDenied(attempts)).toEqual([]);
  });

  test('the same with a user namespace, where it would be root of everything', async () => {
    const results = await attacker().tell<string[]>(`
first = call("unshare", 0x10000000 | 0x20000 | 0x40000000)
answer([
  call("mount", b"/proc", b"/tmp", b"proc", 0, None),
  call("umount2", b"/proc/sysrq-trigger", 2), call("umount2", b"/proc/sys", 2),
  call("mount", None, b"/proc/sys", None, 32 | 4096, None), call("mount", None, b"/sys", None, 32, None),
  node("/tmp/disk", "b", 254, 0), node("/tmp/memory", "c", 1, 1),
  call("finit_module", 0, b"", 0), call("init_module", b"x", 1, b""), call("reboot", 0xFEE1DEAD, 672274793, 0, None),
  call("settimeofday", bytes(16), None), call("kexec_load", 0, 0, 0, 0), call("iopl", 3),
  write("/proc/sys/kernel/core_pattern", "|/tmp/x"), write("/proc/sys/kernel/modprobe", "/tmp/x"),
])`);
    expect(results.filter((result) => !denied.test(result))).toEqual([]);
  });

  test('to stop or crash the kernel: sysrq, reboot, kexec', async () => {
    await alone('stopper', async (guest) => {
      const tried = await guest.tell<string[]>(`
codes = (0x1234567, 0x4321FEDC, 0xCDEF0123, 0x45584543)
answer([call("reboot", 0xFEE1DEAD, 672274793, code, None) for code in codes] + [call("kexec_load", 0, 0, 0, 0)])`);
      // In a process namespace of one's own, a reboot is the end of that namespace: never the machine's.
      expect(tried.filter((one) => !denied.test(one))).toEqual([]);
      await guest.run('for key in "cob": write("/proc/sysrq-trigger", key)');
    });
  });

  test("the kernel's memory, symbols, log, counters and programs", async () => {
    const length = await attacker().tell<number>(`
kcore = read("/proc/kcore", 4096)
answer(0 if kcore.startswith("E") and len(kcore) < 9 else len(kcore))`);
    expect(length).toBe(0);
    const attempts = [
      'call("syslog", 3, bytes(4096), 4096)',
      'call("perf_event_open", bytes(128), -1, 0, -1, 0)',
      'call("bpf", 5, bytes(128), 128)',
      'call("iopl", 3)',
      'call("ioperm", 0x510, 2, 1)',
      'read("/sys/kernel/debug/sched")',
      'read("/sys/firmware/qemu_fw_cfg/rev")',
    ];
    expect(await notDenied(attempts)).toEqual([]);
    const symbols = await attacker().tell<string>('answer(read("/proc/kallsyms", 64))', { user: 1000 });
    expect(symbols).toMatch(/^(0{16} |E[A-Z]+$|ok$)/);
  });

  test('code in the kernel: modules, and programs the kernel starts by itself', async () => {
    const files = [
      'core_pattern',
      'modprobe',
      'hotplug',
      'poweroff_cmd',
      'usermodehelper/bset',
      'random/boot_id',
      'sysrq',
      'panic',
    ];
    const attempts = [
      ...files.map((name) => `write("/proc/sys/kernel/${name}", "|/tmp/x")`),
      'write("/sys/kernel/uevent_helper", "/tmp/x")',
      'write("/sys/devices/virtual/tty/console/uevent", "add")',
      'write("/proc/sys/fs/binfmt_misc/register", ":x:E::x::/tmp/x:")',
      'call("init_module", b"\\x7fELF" + bytes(60), 64, b"")',
      'call("finit_module", os.open("/probe/app.py", 0), b"", 0)',
    ];
    expect(await notDenied(attempts)).toEqual([]);
  });

  test('its clock and its name', async () => {
    const attempts = [
      'call("settimeofday", bytes(16), None)',
      'call("sethostname", b"evil", 4)',
      'call("swapon", b"/tmp", 0)',
      'call("acct", b"/tmp/acct")',
    ];
    expect(await notDenied(attempts)).toEqual([]);
    const apart = Math.abs((await attacker().tell<number>('import time\nanswer(time.time() * 1000)')) - Date.now());
    expect(apart).toBeLessThan(30_000);
  });

  test('cgroups, with which it could thaw or free itself', async () => {
    const seen = await attacker().tell<string[]>('answer([line.split()[2] for line in open("/proc/self/mounts")])');
    expect(seen.filter((kind) => kind.startsWith('cgroup'))).toEqual([]);
    expect(
      await notDenied(['read("/sys/fs/cgroup/cgroup.procs")', 'read("/sys/fs/cgroup/app/cgroup.freeze")']),
    ).toEqual([]);
  });

  test('secrets: nothing in environment, command line or files that is worth stealing', async () => {
    const text = await attacker().tell<string>(`
import glob
texts = [read("/proc/1/environ"), read("/proc/1/cmdline"), read("/proc/cmdline")]
texts += [read(path) for path in glob.glob("/run/**", recursive=True) + glob.glob("/root/.*") + ["/etc/resolv.conf", "/etc/hosts"] if os.path.isfile(path)]
answer("\\n".join(texts))`);
    expect(text).toContain('PATH=');
    expect(text).not.toMatch(/secret|token|password|AKIA|aws_(access|session)|BEGIN [A-Z ]*KEY/i);
  });

  test('to pass for its neighbour: identity files rewritten, then sleep and wake', async () => {
    await alone('imposter', async (guest) => {
      const theirs = await rig().neighbour.tell<string>('answer(read("/etc/machine-id"))');
      const how = await guest.tell<string[]>(`
answer([write("/etc/machine-id", ${JSON.stringify(theirs)}), write("/etc/hosts", "x" * 900000), write("/etc/hostname", "\\n" * 50000),
        write("/proc/sys/kernel/random/boot_id", "x"), attempt(lambda: os.unlink("/etc/machine-id"))])`);
      expect(how[3]).toMatch(denied);
      await rig().host.real.node.suspend(guest.id);
      await rig().host.real.node.resume(guest.id);
      expect(await guest.ping()).toBeGreaterThan(0);
      expect(await rig().neighbour.tell<string>('answer(read("/etc/machine-id"))')).toBe(theirs);
    });
  });
}

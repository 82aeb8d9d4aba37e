// What an application with default privileges can and cannot do, tried as root from inside a real VM. Reference c.6.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type InsideVm, startInsideVm } from '../support/inside-vm.ts';

let vm: InsideVm;
beforeAll(async () => {
  vm = await startInsideVm(false);
});
afterAll(() => vm?.close());

/** chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod, audit_write, setfcap. */
const defaultSet = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
const defaultMask = defaultSet.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n);

const status = `
def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.split(":", 1) for line in file.read().splitlines() if ":" in line)
`;

test('root has exactly the 14 capabilities, and nothing it starts can have more', async () => {
  const sets = await vm.python<Record<string, string>>(
    `${status}\nresult = {k: v.strip() for k, v in status("self").items() if k.startswith("Cap")}`,
  );
  const mask = defaultMask.toString(16).padStart(16, '0');
  expect(mask).toBe('00000000a80425fb');
  const none = '0000000000000000';
  expect(sets).toEqual({ CapEff: mask, CapPrm: mask, CapBnd: mask, CapInh: none, CapAmb: none });
  const user = await vm.python<Record<string, string>>(
    `${status}\nresult = {k: v.strip() for k, v in status("self").items() if k in ("CapEff", "CapPrm", "CapBnd")}`,
    1000,
  );
  expect(user).toEqual({ CapEff: none, CapPrm: none, CapBnd: mask });
});

test('the application is PID 1, sees only its own processes and no descriptor of the agent', async () => {
  const seen = await vm.python<{ parent: number; pids: string[]; first: string; files: string[]; killed: unknown }>(`
import subprocess
pids = [p for p in os.listdir("/proc") if p.isdigit()]
first = open("/proc/1/cmdline").read().replace("\\0", " ").strip()
result = {"parent": os.getppid(), "pids": sorted(p for p in pids if int(p) != os.getpid()), "first": first,
  "files": sorted(os.readlink(f"/proc/1/fd/{n}").split(":")[0] for n in os.listdir("/proc/1/fd") if int(n) < 3),
  "killed": attempt(os.kill, 1, 9)}`);
  expect(seen).toMatchObject({ parent: 1, pids: ['1'], first: 'python3 /app.py', killed: null });
  expect(seen.files).toEqual(['/dev/null', 'pipe', 'pipe']);
  // The signal did nothing: the first process of a namespace is immune to its own children.
  expect(await vm.python('result = 7')).toBe(7);
});

test('an ordinary user reads nothing of PID 1', async () => {
  const denied = await vm.python<string[]>(
    `result = [attempt(open, f"/proc/1/{name}", "rb") for name in ("mem", "environ", "maps", "root/etc/shadow")] + [
  attempt(syscall, 101, 16, 1, 0, 0), attempt(os.kill, 1, 9)]
result = [r if isinstance(r, str) else "opened" for r in result]`,
    1000,
  );
  expect(denied).toEqual(['EACCES', 'EACCES', 'EACCES', 'EACCES', 'EPERM', 'EPERM']);
});

test.each([
  ['sethostname', 'syscall, 170, b"evil", 4'],
  ['mount a tmpfs', 'syscall, 165, b"t", b"/mnt", b"tmpfs", 0, 0'],
  ['make /proc/sys writable', 'syscall, 165, b"", b"/proc/sys", b"", 32 | 4096, 0'],
  ['allow devices on /dev', 'syscall, 165, b"", b"/dev", b"", 32 | 4096, 0'],
  ['uncover the boot id', 'syscall, 166, b"/proc/sys/kernel/random/boot_id", 0'],
  ['unmount the root', 'syscall, 166, b"/", 2'],
  ['pivot the root', 'syscall, 155, b"/", b"/mnt"'],
  ['a mount namespace', 'syscall, 272, 0x20000'],
  ['a network namespace', 'syscall, 272, 0x40000000'],
  ['a cgroup namespace', 'syscall, 272, 0x02000000'],
  ['load a module', 'syscall, 175, b"x", 1, b""'],
  ['load a module from a file', 'syscall, 313, 0, b"", 0'],
  ['unload a module', 'syscall, 176, b"virtio_console", 0'],
  ['another kernel', 'syscall, 246, 0, 0, 0, 0'],
  ['reboot', 'syscall, 169, 0xfee1dead, 672274793, 0x1234567, 0'],
  ['set the clock', 'syscall, 227, 0, b"\\0" * 16'],
  ['read the kernel log', 'syscall, 103, 3, b"\\0" * 64, 64'],
  ['I/O ports', 'syscall, 172, 3'],
  ['I/O port ranges', 'syscall, 173, 0x3f8, 8, 1'],
  ['eBPF', 'syscall, 321, 5, b"\\0" * 128, 128'],
  ['open files by handle', 'syscall, 304, 0, b"\\x08\\0\\0\\0\\1\\0\\0\\0" + b"\\0" * 8, 0'],
  ['swap', 'syscall, 167, b"/app.py", 0'],
  ['more capabilities', 'syscall, 126, b"\\x22\\x05\\x08\\x20\\0\\0\\0\\0", b"\\xff" * 24'],
])('refused with EPERM: %s', async (_, call) => {
  expect(await vm.python(`result = attempt(${call})`)).toBe('EPERM');
});

test('device nodes that root makes open nothing, wherever it makes them', async () => {
  const opened = await vm.python<{ tried: number; opened: string[]; ports: number }>(`
import glob, stat
numbers = {"mem": (1, 1), "port": (1, 4), "kmsg": (1, 11), "ttyS0": (4, 64), "console": (5, 1), "fuse": (10, 229), "tun": (10, 200)}
ports = glob.glob("/sys/class/virtio-ports/*/dev")
for path in ports + ["/sys/block/vda/dev"]:
    numbers[path.split("/")[-2]] = tuple(int(n) for n in open(path).read().split(":"))
tried, opened = 0, []
for directory in ("/", "/dev", "/dev/shm", "/tmp", "/run", "/var/tmp"):
    for name, (major, minor) in numbers.items():
        kind = stat.S_IFBLK if name == "vda" else stat.S_IFCHR
        path = f"{directory}/wb-{name}"
        os.mknod(path, kind | 0o666, os.makedev(major, minor))
        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_NONBLOCK):
            tried += 1
            if attempt(os.open, path, flags) != "EACCES":
                opened.append(f"{path} {flags} {attempt(os.open, path, flags)}")
        os.unlink(path)
result = {"tried": tried, "opened": opened, "ports": len(ports)}`);
  expect(opened).toEqual({ tried: 6 * 10 * 2, opened: [], ports: 2 });
});

test('/dev has what a container has, and it works', async () => {
  const dev = await vm.python<{ names: string[]; zero: number; random: number; sink: number; terminal: boolean }>(`
import pty
master, slave = pty.openpty()
os.write(slave, b"x")
result = {"names": sorted(os.listdir("/dev")), "zero": sum(open("/dev/zero", "rb").read(9)), "random": len(open("/dev/urandom", "rb").read(9)),
  "sink": open("/dev/null", "w").write("x"), "terminal": os.read(master, 1) == b"x"}`);
  const links = ['fd', 'ptmx', 'stderr', 'stdin', 'stdout'];
  const nodes = ['console', 'full', 'mqueue', 'null', 'pts', 'random', 'shm', 'tty', 'urandom', 'zero'];
  expect(dev.names).toEqual([...links, ...nodes].sort());
  expect(dev).toMatchObject({ zero: 0, random: 9, sink: 1, terminal: true });
});

test('the kernel shows little and takes no orders', async () => {
  const seen = await vm.python<Record<string, unknown>>(`
write = lambda path, text: attempt(lambda: open(path, "w").write(text))
result = {path: write(path, "1") for path in ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/net/ipv4/ip_forward",
  "/proc/irq/default_smp_affinity", "/sys/bus/virtio/drivers/virtio_console/unbind", "/sys/class/net/eth0/mtu")}
# Hidden ones lead to /dev/null.
result["sysrq"] = write("/proc/sysrq-trigger", "c")
result["kcore"] = len(open("/proc/kcore", "rb").read(64))
result["modprobe"] = open("/proc/sys/kernel/modprobe").read().strip()
result["cgroup"] = os.listdir("/sys/fs/cgroup")
result["addresses"] = sorted({line.split()[0] for line in open("/proc/kallsyms")})[:2]`);
  const { sysrq, kcore, modprobe, cgroup, addresses, ...orders } = seen;
  expect(new Set(Object.values(orders))).toEqual(new Set(['EROFS']));
  expect({ sysrq, kcore, modprobe, cgroup }).toEqual({ sysrq: 1, kcore: 0, modprobe: '', cgroup: [] });
  expect(addresses).toEqual(['0000000000000000']);
});

test('the files of the agent are out of reach, by path, by chroot and by mount table', async () => {
  const found = await vm.python<{ names: string[]; mounts: string[]; same: boolean }>(`
names = lambda: [n for n in ("/init", "/modules", "/modprobe", "/run/boot-id", "/app/app.py") if os.path.exists(n)]
before = names()
handle = os.open("/", os.O_RDONLY)
os.mkdir("/var/tmp/deep")
os.chroot("/var/tmp/deep")
for _ in range(64):
    os.chdir("..")
os.chroot(".")
os.fchdir(handle)
for _ in range(64):
    os.chdir("..")
os.chroot(".")
mounts = [line.split()[1] for line in open("/proc/self/mounts")]
result = {"names": before + names(), "mounts": [m for m in mounts if mounts.count("/") != 1], "same": os.path.exists("/app.py")}`);
  expect(found).toEqual({ names: [], mounts: [], same: true });
});

test('the network card belongs to the agent; its relay answers nobody inside', async () => {
  const seen = await vm.python<Record<string, unknown>>(`
import fcntl, socket, struct
control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def flags():
    return fcntl.ioctl(control, 0x8914, struct.pack("16sh14x", b"eth0", 0))
def relay(address, **options):
    s = socket.socket()
    s.settimeout(3)
    if "source" in options:
        s.setsockopt(socket.IPPROTO_IP, options["option"], 1)
        s.bind((options["source"], 0))
    s.connect((address, 61999))
    s.sendall(options.get("word", b"8080\\n"))
    return s.recv(1).decode()
# IP_FREEBIND needs no capability, IP_TRANSPARENT only CAP_NET_RAW.
result = {"down": attempt(flags), "own": attempt(relay, "10.111.0.2"),
  "shell": attempt(lambda: relay("10.111.0.2", word=b"shell\\n")), "loopback": attempt(relay, "127.0.0.1"),
  "freebind": attempt(lambda: relay("10.111.0.2", source="10.111.0.1", option=15)),
  "transparent": attempt(lambda: relay("10.111.0.2", source="10.111.0.1", option=19))}`);
  expect(seen).toMatchObject({ down: 'EPERM', loopback: 'ECONNREFUSED', freebind: 'ENETUNREACH' });
  for (const word of [seen.own, seen.shell]) expect(['ECONNRESET', 'EPIPE', '']).toContain(word);
  expect(seen.transparent).toMatch(/timed out|ECONN|EHOSTUNREACH/);
});

test('nothing makes the kernel load a module, not even root of a user namespace', async () => {
  const seen = await vm.python<{ results: unknown[]; before: string[]; after: string[] }>(`
import socket
loaded = lambda: sorted(line.split()[0] for line in open("/proc/modules"))
before = loaded()
results = [attempt(syscall, 272, 0x10000000 | 0x20000 | 0x40000000)]
results += [attempt(socket.socket, family, socket.SOCK_RAW, protocol) for family, protocol in ((29, 1), (16, 12), (21, 0))]
results += [attempt(syscall, 165, b"x", b"/mnt", kind, 0, 0) for kind in (b"overlay", b"fuse", b"ext4", b"devtmpfs")]
results += [attempt(os.mknod, "/var/tmp/wb-null", 0o20666, os.makedev(1, 3))]
result = {"results": [r if isinstance(r, (str, int)) else "opened" for r in results], "before": before, "after": loaded()}`);
  expect(seen.after).toEqual(seen.before);
  expect(seen.results[0]).toBe(0);
  for (const outcome of seen.results.slice(1)) expect(outcome).toMatch(/^E[A-Z]+$/);
});

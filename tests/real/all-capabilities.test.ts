// `additionalOsCapabilities: ["ALL"]`: mounts, FUSE, networks, eBPF, cgroups, and a real container runtime inside a real VM. Reference c.6.
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  encodeCommand,
  encodeFrame,
  FrameReader,
  guestFrames,
  hostFrames,
  type ShellFrame,
} from '../../src/contract/shell-frames.ts';
import { hostFiles, hostPrograms } from '../support/host-programs.ts';
import { type CommandEnd, type InsideVm, startInsideVm } from '../support/inside-vm.ts';
import { connectTo } from '../support/real-node.ts';

const dockerfile = `FROM localhost/waterbear/python:3
COPY tools /opt/tools
COPY app.py /app.py
RUN mkdir -p /opt/bundle/lower/bin /opt/bundle/lower/proc /opt/bundle/lower/sys /opt/bundle/lower/dev /opt/bundle/upper /opt/bundle/work \\
      /opt/bundle/rootfs && mv /opt/tools/bin/busybox /opt/bundle/lower/bin/ && ln -s busybox /opt/bundle/lower/bin/sh && ln -s xtables-nft-multi /opt/tools/bin/iptables
CMD ["python3", "/app.py"]
`;
const tools = ['/usr/bin/crun', '/usr/sbin/nft', '/bin/ip', '/usr/sbin/xtables-nft-multi', '/bin/busybox'];

let vm: InsideVm;
beforeAll(async () => {
  const more = [...hostPrograms('tools', tools), ...hostFiles('tools/xtables', '/usr/lib/x86_64-linux-gnu/xtables')];
  vm = await startInsideVm(true, [{ name: 'Dockerfile', data: dockerfile }, ...more]);
});
afterAll(() => vm?.close());

const tool = (command: string): Promise<CommandEnd> =>
  vm.command(
    ...['env', 'LD_LIBRARY_PATH=/opt/tools/lib', 'XTABLES_LIBDIR=/opt/tools/xtables'],
    ...['PATH=/opt/tools/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'sh', '-exc', command],
  );
/** The output of a script in which every command must succeed. */
async function script(command: string): Promise<string> {
  const end = await tool(command);
  expect(end, command).toMatchObject({ code: 0 });
  return end.out;
}
const modules = (): Promise<string[]> =>
  vm.python('result = sorted(line.split()[0] for line in open("/proc/modules"))');

test('root has every capability of the kernel', async () => {
  const sets = await script("grep -E '^Cap(Eff|Prm|Bnd)' /proc/self/status");
  expect(sets.match(/000001ffffffffff/g)).toHaveLength(3);
});

test('a shell has all of it too, in the group of the application', async () => {
  const stream = await connectTo(vm.host.node, vm.microvmId, 'shell');
  const command =
    'grep CapEff /proc/self/status; cat /proc/self/cgroup; mount -t tmpfs none /mnt && umount /mnt && echo mounted';
  stream.write(encodeFrame(hostFrames.pipes, encodeCommand(['sh', '-c', command])));
  const reader = new FrameReader();
  const said: ShellFrame[] = [];
  for await (const chunk of stream) said.push(...reader.take(chunk as Buffer));
  const text = said.filter(({ kind }) => kind === guestFrames.output).map(({ payload }) => payload.toString());
  expect(text.join('')).toBe('CapEff:\t000001ffffffffff\n0::/init\nmounted\n');
  expect(said.at(-1)).toEqual({ kind: guestFrames.exit, payload: Buffer.from([0, 0]) });
});

test('modules come when they are first needed, each with what it needs', async () => {
  const before = await modules();
  for (const name of ['overlay', 'fuse', 'veth', 'nf_tables', 'loop', 'tun']) expect(before).not.toContain(name);
  await script('mkdir /var/tmp/l /var/tmp/u /var/tmp/w /var/tmp/m');
  await script(
    'mount -t overlay -o lowerdir=/etc,upperdir=/var/tmp/u,workdir=/var/tmp/w none /var/tmp/m && umount /var/tmp/m',
  );
  await script('ip link add br0 type bridge && ip link del br0');
  const after = await modules();
  for (const name of ['overlay', 'bridge', 'stp', 'llc']) expect(after).toContain(name);
  expect((await tool('ip link add x0 type nosuchkind')).err).toContain('Unknown device type');
});

test('mounts: tmpfs, bind, loop devices with ext4, and device nodes in them', async () => {
  const out = await script(`
    mkdir -p /mnt/t /mnt/b /mnt/e
    mount -t tmpfs t /mnt/t && mount --bind /etc /mnt/b && test -f /mnt/b/passwd
    mknod /mnt/t/null c 1 3 && echo x > /mnt/t/null
    mknod /var/tmp/null c 1 3 && echo x > /var/tmp/null
    truncate -s 8M /var/tmp/disk && mkfs.ext4 -q /var/tmp/disk && mount -o loop /var/tmp/disk /mnt/e && echo kept > /mnt/e/file
    cat /mnt/e/file; umount /mnt/t /mnt/b /mnt/e`);
  expect(out).toBe('kept\n');
});

test('FUSE: the kernel speaks to whoever opens /dev/fuse', async () => {
  const seen = await vm.python<{ opcode: number; major: number }>(`
import struct
fd = os.open("/dev/fuse", os.O_RDWR)
os.makedirs("/mnt/f", exist_ok=True)
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
syscall(165, b"wb", b"/mnt/f", b"fuse", 0, options)
request = os.read(fd, 1 << 17)
length, opcode = struct.unpack_from("II", request)
syscall(166, b"/mnt/f", 2)
result = {"opcode": opcode, "major": struct.unpack_from("I", request, 40)[0]}`);
  expect(seen).toEqual({ opcode: 26, major: 7 });
});

test('networks: namespaces, veth, bridge, tun, nftables and iptables with masquerade', async () => {
  const out = await script(`
    ip netns add inner
    ip link add wb0 type veth peer name eth0 netns inner
    ip addr add 172.30.0.1/24 dev wb0 && ip link set wb0 up
    ip -n inner addr add 172.30.0.2/24 dev eth0 && ip -n inner link set eth0 up && ip -n inner link set lo up
    ip tuntap add dev tap9 mode tap && ip link del tap9
    echo 1 > /proc/sys/net/ipv4/ip_forward
    nft add table ip wb && nft add chain ip wb post '{ type nat hook postrouting priority 100; }'
    nft add rule ip wb post ip saddr 172.30.0.0/24 counter masquerade
    nft list table ip wb
    iptables -t nat -A POSTROUTING -s 172.30.0.0/24 -m comment --comment wb -j MASQUERADE
    iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
    iptables -A FORWARD -p tcp -m multiport --dports 80,443 -m addrtype --dst-type LOCAL -j REJECT
    iptables -t nat -S
    ip netns exec inner python3 -c 'import socket; s = socket.create_server(("172.30.0.2", 9)); c, _ = s.accept(); c.sendall(b"inner")' &
    for i in 1 2 3 4 5 6 7 8 9 10; do python3 -c 'import socket; print(socket.create_connection(("172.30.0.2", 9)).recv(9))' && break; sleep 0.5; done
    iptables -F FORWARD; iptables -t nat -F; nft delete table ip wb; ip link del wb0; ip netns del inner`);
  expect(out).toContain('masquerade');
  expect(out).toContain('-j MASQUERADE');
  expect(out).toContain("b'inner'");
});

test('kernel settings, host name, eBPF', async () => {
  const out = await script(
    'echo 77 > /proc/sys/kernel/msgmni && cat /proc/sys/kernel/msgmni && hostname nested && hostname',
  );
  expect(out).toBe('77\nnested\n');
  // BPF_MAP_CREATE of a small array.
  const map = 'struct.pack("IIII", 2, 4, 4, 1) + b"\\0" * 112';
  expect(await vm.python(`import struct\nresult = syscall(321, 0, ${map}, 128) > 2`)).toBe(true);
});

test('cgroups: every controller is handed down, and a limit bites', async () => {
  const out = await script(`
    cat /proc/self/cgroup /sys/fs/cgroup/cgroup.subtree_control
    mkdir /sys/fs/cgroup/small && echo 24M > /sys/fs/cgroup/small/memory.max && echo 40 > /sys/fs/cgroup/small/pids.max
    (echo 0 > /sys/fs/cgroup/small/cgroup.procs && exec python3 -c 'x = bytearray(64 << 20)') && exit 9 || true
    grep oom_kill /sys/fs/cgroup/small/memory.events && rmdir /sys/fs/cgroup/small`);
  expect(out).toMatch(/^0::\/init\n/);
  for (const controller of ['cpu', 'memory', 'pids', 'io']) expect(out).toContain(controller);
  expect(out).toMatch(/oom_kill 1/);
});

/** A bundle for an OCI runtime: own pid, mount, uts, ipc, network and cgroup namespaces, a memory limit, overlay as its root. */
const bundle = {
  ociVersion: '1.0.2',
  process: {
    user: { uid: 0, gid: 0 },
    cwd: '/',
    env: ['PATH=/bin'],
    args: [
      'sh',
      '-c',
      'set -e; alias b=/bin/busybox; B=/bin/busybox; echo "pid $$"; $B hostname; $B cat /proc/self/cgroup; echo new > /written; ' +
        '$B cat /sys/fs/cgroup/memory.max; $B ip addr show eth0 | $B grep -o "inet [0-9.]*"; $B nc -w 5 172.31.0.1 9; exit 3',
    ],
    capabilities: { bounding: ['CAP_KILL'], effective: ['CAP_KILL'], permitted: ['CAP_KILL'] },
    noNewPrivileges: true,
  },
  root: { path: 'rootfs' },
  hostname: 'nested-container',
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['ro'] },
  ],
  linux: {
    cgroupsPath: '/nested',
    resources: { memory: { limit: 64 << 20 }, pids: { limit: 50 } },
    namespaces: [
      ...['pid', 'mount', 'uts', 'ipc', 'cgroup'].map((type) => ({ type })),
      { type: 'network', path: '/run/netns/box' },
    ],
  },
};

test('a container runtime starts a container: overlay root, own namespaces, memory limit, veth network, exit code', async () => {
  await script(`
    mkdir -p /run && mount -t overlay -o lowerdir=/opt/bundle/lower,upperdir=/opt/bundle/upper,workdir=/opt/bundle/work o /opt/bundle/rootfs
    ip netns add box && ip link add box0 type veth peer name eth0 netns box
    ip addr add 172.31.0.1/24 dev box0 && ip link set box0 up
    ip -n box addr add 172.31.0.2/24 dev eth0 && ip -n box link set eth0 up
    python3 -c 'import base64; open("/opt/bundle/config.json", "wb").write(base64.b64decode("${btoa(JSON.stringify(bundle))}"))'
    python3 -c 'import socket,os; s = socket.create_server(("172.31.0.1", 9)); os.fork() and os._exit(0); c, _ = s.accept(); c.sendall(b"over veth")' >/dev/null 2>&1`);
  const end = await tool('cd /opt/bundle && crun --cgroup-manager=cgroupfs run nested');
  expect(end.err).not.toMatch(/error|fail/i);
  const address = ['inet 172.31.0.2', 'over veth'];
  expect(end.out.split('\n').filter(Boolean)).toEqual([
    'pid 1',
    'nested-container',
    '0::/',
    String(64 << 20),
    ...address,
  ]);
  expect(end.code).toBe(3);
  expect(await script('cat /opt/bundle/upper/written; umount /opt/bundle/rootfs')).toBe('new\n');
});

test('what was loaded and mounted works on after a sleep, and more can be loaded', async () => {
  await script(
    'mkdir -p /mnt/o && mount -t overlay -o lowerdir=/etc,upperdir=/var/tmp/u,workdir=/var/tmp/w none /mnt/o',
  );
  const before = await modules();
  expect(before).not.toContain('ipvlan');
  await vm.host.node.suspend(vm.microvmId);
  await vm.host.node.resume(vm.microvmId);
  expect(await modules()).toEqual(before);
  expect(
    await script(
      'echo again > /mnt/o/again && cat /var/tmp/u/again && ip link add ipv0 link eth0 type ipvlan && ip link del ipv0',
    ),
  ).toBe('again\n');
  expect(await modules()).toContain('ipvlan');
});

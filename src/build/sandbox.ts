// The cage in which buildah and mkfs work on hostile Dockerfiles: namespaces of its own for mounts, processes, IPC, host name
// and network, and a root that holds the host's programs and the directories named by the caller, nothing else. A trick that
// leaves the build context (a symlink, a `..`, a bind mount) therefore finds an empty file system instead of the host's, and
// killing the cage's first process ends everything that ran in it and undoes every mount.

import { guestNetwork } from '../net/slot.ts';

/** What RUN steps can reach. `none`: their own loopback only. `host` is for our own base images, never for a caller's Dockerfile. */
export type SandboxNetwork = 'none' | 'host' | { namespace: string };

export interface Sandbox {
  network: SandboxNetwork;
  /** An empty directory; the new root is mounted on it, visible to the cage alone. */
  root: string;
  /** Absolute directories that keep their path inside, writable. */
  writable: readonly string[];
  /** Absolute directories that keep their path inside, read-only. */
  readable: readonly string[];
  /** No file written inside may grow past this. */
  maxFileBytes: number;
}

// Runs as process 1 of the cage: $1 new root, $2 file limit, $3 name server (empty: the host's), then `w:PATH` and `r:PATH`, then `--`, then the command.
const script = `
set -eu
root=$1 limit=$2 names=$3
shift 3
mount -t tmpfs -o mode=755,nosuid,size=64m cage "$root"
mkdir -p "$root/etc" "$root/dev/pts" "$root/dev/shm" "$root/proc" "$root/sys" "$root/run" "$root/tmp" "$root/var/tmp" "$root/root"
chmod 1777 "$root/tmp" "$root/var/tmp"
readonly_bind() { mount --bind "$1" "$root$1"; mount -o remount,bind,ro "$root$1"; }
for d in /usr /bin /sbin /lib /lib32 /lib64 /libx32; do
  if [ -L "$d" ]; then cp -P "$d" "$root$d"; elif [ -d "$d" ]; then mkdir -p "$root$d"; readonly_bind "$d"; fi
done
for f in /etc/alternatives /etc/ssl /etc/ca-certificates; do
  if [ -d "$f" ]; then mkdir -p "$root$f"; readonly_bind "$f"; fi
done
for f in passwd group nsswitch.conf ld.so.cache hosts resolv.conf mke2fs.conf; do
  if [ -f "/etc/$f" ]; then cat "/etc/$f" > "$root/etc/$f"; fi
done
if [ -n "$names" ]; then echo "nameserver $names" > "$root/etc/resolv.conf"; fi
for f in null zero full random urandom tty; do : > "$root/dev/$f"; mount --bind "/dev/$f" "$root/dev/$f"; done
ln -s /proc/self/fd "$root/dev/fd"
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/\${n%%:*}" "$root/dev/\${n##*:}"; done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=1777,size=64m shm "$root/dev/shm"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sys "$root/sys"
while [ "$1" != -- ]; do
  path=\${1#?:}
  mkdir -p "$root$path"
  case $1 in w:*) mount --bind "$path" "$root$path" ;; r:*) readonly_bind "$path" ;; esac
  shift
done
shift
ip link set lo up 2>/dev/null || :
cd "$root"
mkdir .host
pivot_root . .host
umount -l /.host
rmdir /.host
exec prlimit "--fsize=$limit" -- "$@"
`;

/** The argument list that runs `command` inside the cage. Killing the process it starts kills all that is inside. */
export function sandboxed(sandbox: Sandbox, command: readonly string[]): string[] {
  const { network } = sandbox;
  return [
    ...(typeof network === 'object' ? ['ip', 'netns', 'exec', network.namespace] : []),
    'unshare',
    '--mount',
    '--propagation=private',
    '--pid',
    '--fork',
    '--kill-child=SIGKILL',
    '--ipc',
    '--uts',
    ...(network === 'none' ? ['--net'] : []),
    'sh',
    '-c',
    script,
    'cage',
    sandbox.root,
    String(sandbox.maxFileBytes),
    typeof network === 'object' ? guestNetwork.gatewayAddress : '',
    ...sandbox.readable.map((path) => `r:${path}`),
    ...sandbox.writable.map((path) => `w:${path}`),
    '--',
    ...command,
  ];
}

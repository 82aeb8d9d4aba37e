#!/bin/sh
# build.sh KERNEL_TREE OUT   Makes what every microVM boots: OUT/vmlinuz, OUT/initramfs, OUT/release; and OUT/../bin/{seal,launch}.
# KERNEL_TREE: a Debian linux-image-*-cloud-amd64 package, unpacked (dpkg -x). Needs go and cpio. Says nothing when nothing changed.
set -eu
[ $# = 2 ] || { echo "usage: $0 KERNEL_TREE OUT" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$1" && pwd)
mkdir -p "$2" "$2/../bin"
out=$(cd "$2" && pwd)
bin=$(cd "$2/../bin" && pwd)
wanted='virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_mmio virtio_blk failover net_failover
  virtio_net virtio_console inet_diag tcp_diag'

set -- "$tree"/boot/vmlinuz-*
[ $# = 1 ] && [ -f "$1" ] || { echo "$0: $tree must hold exactly one boot/vmlinuz-*" >&2; exit 1; }
kernel=$1
release=${kernel##*/vmlinuz-}
modules=$tree/lib/modules/$release/kernel
[ -d "$modules" ] || { echo "$0: $modules is missing" >&2; exit 1; }

work=$(mktemp -d "$out/.build.XXXXXX")
trap 'rm -rf "$work"' EXIT

# put FILE DESTINATION: replaces only what differs, at once.
put() {
  if cmp -s "$1" "$2"; then return; fi
  mv -f "$1" "$2"
  echo "built $2"
}

compile() (
  cd "$1"
  CGO_ENABLED=0 GOOS=linux GOARCH=amd64 GOFLAGS='' GO111MODULE=on \
    go build -trimpath -buildvcs=false -ldflags '-s -w -buildid=' -o "$2" .
)

# dependencies MODULE_FILE: the names in its .modinfo, where `-` and `_` are the same letter.
dependencies() { tr '\0' '\n' <"$1" | sed -n 's/^depends=//p' | tr ',-' ' _'; }

# add NAME: copies a module after everything it needs. What is built into the kernel needs nothing.
add() {
  case " $added " in *" $1 "*) return ;; esac
  added="$added $1"
  file=$(find "$modules" -name "$1.ko" -o -name "$(echo "$1" | tr _ -).ko" | head -n 1)
  if [ -z "$file" ]; then
    grep -q "/$(echo "$1" | sed 's/[_-]/[_-]/g')\.ko\$" "$modules/../modules.builtin" && return
    echo "$0: module $1 is not in $modules" >&2
    exit 1
  fi
  for needed in $(dependencies "$file"); do add "$needed"; done
  file=$(find "$modules" -name "$1.ko" -o -name "$(echo "$1" | tr _ -).ko" | head -n 1)
  cp "$file" "$work/root/modules/$1.ko"
  echo "$1.ko" >>"$work/root/modules/order"
}

mkdir -p "$work/root/modules" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/run" "$work/root/app"
compile "$here/agent" "$work/root/init"
compile "$here/../host/seal" "$work/seal"
compile "$here/../host/launch" "$work/launch"
added=
for name in $wanted; do add "$name"; done
chmod 0755 "$work/root/init"
find "$work/root" -exec touch -h -d @0 {} +
(cd "$work/root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) >"$work/initramfs"
echo "$release" >"$work/release"
cp "$kernel" "$work/vmlinuz"
chmod 0644 "$work/initramfs" "$work/release" "$work/vmlinuz"
put "$work/seal" "$bin/seal"
put "$work/launch" "$bin/launch"
put "$work/vmlinuz" "$out/vmlinuz"
put "$work/release" "$out/release"
put "$work/initramfs" "$out/initramfs"

#!/bin/sh
# build.sh KERNEL_TREE OUT   Makes what every microVM boots: OUT/vmlinuz, OUT/initramfs, OUT/release; and OUT/../bin/{seal,launch,builder}.
# Beside them lie their checksums, which the server compares before it boots a kernel, and the scrubber at all times.
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
# Packed, and loaded when an application with all capabilities first needs them: what container runtimes and their networks use.
on_demand='overlay fuse loop tun veth bridge br_netfilter macvlan ipvlan vxlan dummy
  nf_tables nft_compat nft_chain_nat nft_nat nft_masq nft_redir nft_ct nft_reject nft_reject_inet nft_fib nft_fib_ipv4 nft_fib_ipv6
  nft_fib_inet nft_limit nft_log nft_quota nft_hash nft_numgen nf_conntrack_netlink nf_log_syslog
  xt_conntrack xt_addrtype xt_MASQUERADE xt_nat xt_REDIRECT xt_comment xt_mark xt_connmark xt_multiport xt_tcpudp xt_limit xt_LOG
  xt_statistic xt_state xt_physdev xt_TCPMSS xt_owner
  ip_tables iptable_filter iptable_nat iptable_mangle iptable_raw ipt_REJECT ip6_tables ip6table_filter ip6table_nat ip6t_REJECT'

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

# field NAME MODULE_FILE: the values of a field of its .modinfo.
field() { tr '\0' '\n' <"$2" | sed -n "s/^$1=//p"; }

# Names of modules that a module needs; `-` and `_` are the same letter.
dependencies() { field depends "$1" | tr ',-' ' _'; }

# locate NAME: the module's file, or nothing when it is built into the kernel.
locate() {
  found=$(find "$modules" -name "$1.ko" -o -name "$(echo "$1" | tr _ -).ko" | head -n 1)
  if [ -n "$found" ]; then echo "$found"; return; fi
  grep -q "/$(echo "$1" | sed 's/[_-]/[_-]/g')\.ko\$" "$modules/../modules.builtin" && return
  echo "$0: module $1 is not in $modules" >&2
  return 1
}

# add NAME: copies a module after everything it needs. What is built into the kernel needs nothing.
add() {
  case " $added " in *" $1 "*) return ;; esac
  added="$added $1"
  file=$(locate "$1")
  [ -n "$file" ] || return 0
  for needed in $(dependencies "$file"); do add "$needed"; done
  file=$(locate "$1")
  cp "$file" "$work/root/modules/$1.ko"
  echo "$1.ko" >>"$work/root/modules/order"
}

# pack NAME: as add, but packed, and into the index that guest/agent/modprobe.go reads.
pack() {
  case " $added " in *" $1 "*) return ;; esac
  added="$added $1"
  file=$(locate "$1")
  [ -n "$file" ] || return 0
  gzip -9 -n -c "$file" >"$work/root/modules/$1.ko.gz"
  { echo "needs $1" $(dependencies "$file"); field alias "$file" | sed "s/.*/alias & $1/"; } >>"$work/root/modules/index"
  for needed in $(dependencies "$file"); do pack "$needed"; done
}

mkdir -p "$work/root/modules" "$work/root/proc" "$work/root/sys" "$work/root/dev" "$work/root/run" "$work/root/app"
compile "$here/agent" "$work/root/init"
compile "$here/builder" "$work/builder"
compile "$here/../host/seal" "$work/seal"
compile "$here/../host/launch" "$work/launch"
added=
for name in $wanted; do add "$name"; done
for name in $on_demand; do pack "$name"; done
ln -s init "$work/root/modprobe"
chmod 0755 "$work/root/init"
find "$work/root" -exec touch -h -d @0 {} +
(cd "$work/root" && find . | LC_ALL=C sort | cpio -o -H newc -R 0:0 --reproducible --quiet) >"$work/initramfs"
echo "$release" >"$work/release"
cp "$kernel" "$work/vmlinuz"
chmod 0644 "$work/initramfs" "$work/release" "$work/vmlinuz"
put "$work/builder" "$bin/builder"
put "$work/seal" "$bin/seal"
put "$work/launch" "$bin/launch"
put "$work/vmlinuz" "$out/vmlinuz"
put "$work/release" "$out/release"
put "$work/initramfs" "$out/initramfs"
for made in "$bin/builder seal launch" "$out/vmlinuz release initramfs"; do
  names="${made##*/}"
  (cd "${made%/*}" && sha256sum $names) >"$work/checksums"
  put "$work/checksums" "${made%/*}/checksums"
done

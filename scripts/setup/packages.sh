# Part of setup.sh: which Debian packages are needed, their installation, and what to say when they cannot be had.

# One package a line, with what it is for.
packages() {
  sed 's/ *#.*//; /^$/d' <<'LIST'
qemu-system-x86    # runs the VMs
qemu-utils         # qemu-img: disk overlays
e2fsprogs          # mkfs.ext4: root disks
buildah            # builds Dockerfiles
mmdebstrap         # makes the base images from Debian packages
golang-go          # compiles the guest agent
cpio               # packs the initramfs
busybox-static     # small tools for VMs that test this machine
nftables           # keeps VMs away from the host and each other
iproute2           # network namespaces and taps
kmod               # loads overlay, tun and nf_tables
util-linux         # unshare, setpriv, flock
libnss-myhostname  # lets every program resolve *.localhost
ca-certificates    # TLS to package servers and registries
curl               # for people; endpoints are plain HTTPS. For tests too, over both versions of HTTP
LIST
  [ -z "$for_tests" ] || sed 's/ *#.*//' <<'LIST'
awscli             # one of the clients that must work unchanged
python3            # another
chromium           # a browser: its WebSocket to endpoints
strace             # watches what a process really does
crun               # a container runtime to nest in a MicroVM
iptables           # goes there too
LIST
}

apt() { long env DEBIAN_FRONTEND=noninteractive LC_ALL=C apt-get -q -y -o DPkg::Lock::Timeout=120 -o APT::Sandbox::User=root "$@"; }

# Names the cause of a failed apt run, from the log.
apt_failed() {
  result failed
  log_end
  if log_says 'could not get lock|unable to (acquire|lock)'; then
    fail 'another program holds the package manager (apt, or unattended upgrades).' 'Wait until it has ended, then run this again.' \
      'Which one: fuser -v /var/lib/dpkg/lock-frontend'
  elif log_says 'dpkg was interrupted'; then
    fail 'an earlier package installation was interrupted.' 'Finish it: dpkg --configure -a'
  elif log_says 'no space left|enough free space'; then
    fail 'the disk is full.' 'Free some space, for example: apt-get clean'
  elif log_says 'could not resolve|temporary failure|failed to fetch|unable to connect|could not connect|connection (timed|failed|refused)|network is unreachable|could not be downloaded'; then
    fail 'the Debian package servers cannot be reached.' 'Check the network and the sources in /etc/apt/sources.list*.' \
      "Behind a proxy: echo 'Acquire::http::Proxy \"http://HOST:PORT\";' > /etc/apt/apt.conf.d/90proxy"
  elif log_says 'unable to locate package|no installation candidate|unable to find a source|no packages found'; then
    fail 'a package is unknown to the apt sources of this machine.' "They must hold Debian's component \"main\", bookworm-updates and bookworm-security."
  fi
  fail "apt-get failed ($1)." "All of its output: $log"
}

missing_packages() {
  wanted=$(packages)
  # shellcheck disable=SC2086  # one word per package
  have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null | sed -n 's/^installed //p')
  for name in $wanted; do
    case "
$have
" in *"
$name
"*) ;; *) printf '%s ' "$name" ;; esac
  done
}

install_packages() {
  title '[2/7] Debian packages'
  missing=$(missing_packages)
  if [ -z "$missing" ]; then result 'nothing missing'; return; fi
  printf '  installing %s' "$missing" >&2
  # shellcheck disable=SC2086
  if ! apt install --no-install-recommends $missing; then
    # A fresh machine has no package lists, and old lists name what is gone from the servers.
    log_says 'unable to locate|no installation candidate|404|failed to fetch' || apt_failed install
    apt update || apt_failed update
    # shellcheck disable=SC2086
    apt install --no-install-recommends $missing || apt_failed install
  fi
  result 'done       '
}

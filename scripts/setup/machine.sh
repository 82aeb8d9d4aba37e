# Part of setup.sh: what the machine must be like, and one set-up at a time.

check_machine() {
  title '[1/7] Machine        '
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s); Waterbear needs Linux." 'Use a machine or VM with Debian 12.'
  id= version=
  [ ! -r /etc/os-release ] || { id=$(. /etc/os-release && echo "$ID") version=$(. /etc/os-release && echo "${VERSION_ID:-testing}"); }
  [ "$id" = debian ] || fail "this is ${id:-an unknown system}; the set-up knows Debian only." \
    'Use Debian 12, or install by hand what is listed in scripts/setup/packages.sh.'
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

check_names() {
  case $(getent hosts x.vm.localhost 2>/dev/null) in
    127.* | ::1*) ;;
    *) say '      Warning: x.vm.localhost does not resolve to this machine. Put "myhostname" before "dns" in the line "hosts:"'
       say '      of /etc/nsswitch.conf, or use the setting that gives each VM a port of its own.' ;;
  esac
}

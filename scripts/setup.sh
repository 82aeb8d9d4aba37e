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

for part in words long stamps machine packages node-packages guest images; do
  . "scripts/setup/$part.sh"
done

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

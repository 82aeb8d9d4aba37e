# Part of setup.sh: what it says.

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

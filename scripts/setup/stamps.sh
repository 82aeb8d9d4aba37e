# Part of setup.sh: what has been done already.

# A step is done when its stamp holds the key of what it depends on and its outputs exist.
unchanged() { # NAME KEY OUTPUT…
  [ -z "$fresh" ] && [ "$(cat "$toolkit/stamps/$1" 2>/dev/null)" = "$2" ] || return 1
  shift 2
  for output in "$@"; do [ -e "$output" ] || return 1; done
}
whole() { (cd "$1" && sha256sum --quiet --check checksums >/dev/null 2>&1); }
stamp() { printf '%s\n' "$2" >"$toolkit/stamps/$1"; }
hash_of() { find "$@" -type f -exec sha256sum {} + | sort -k 2 | sha256sum | cut -d ' ' -f 1; }

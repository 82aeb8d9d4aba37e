# Part of setup.sh: what runs in every VM, the kernel and the agent, and our programs on the host.

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

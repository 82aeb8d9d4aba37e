# Part of setup.sh: base images to build on, and the disk of the VMs that build.

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

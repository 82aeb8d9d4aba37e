#!/bin/sh
# PID 1 of the emulated machine that has /dev/kvm: mounts, loads KVM, runs the program, powers off.
export PATH=/bin HOME=/
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
for module in irqbypass kvm kvm-amd; do insmod "/modules/$module.ko"; done
chmod 666 /dev/kvm # there is no udev to do it
read -r up _ </proc/uptime
echo "L1-READY $up"
# Under emulation compiled code that is never hot costs more than it saves.
cd /wb && node --no-opt --max-lazy tests/support/kvm/l1-program.js
echo "L1-EXIT $?"
poweroff -f

#!/bin/sh
# The application of the KVM test. Every tick tells: a counter, the guest's uptime and wall clock, its host name, whether
# its buffers in memory still have their checksums, and what it drew from the random number generator under this host name.
tick=0
host=
while :; do
  read -r now </etc/hostname
  if [ "$now" != "$host" ]; then
    host=$now
    head -c 1048576 /dev/urandom >"/dev/shm/$host"
    md5sum "/dev/shm/$host" >>/dev/shm/sums
    read -r draw _ <<SUM
$(md5sum "/dev/shm/$host")
SUM
  fi
  memory=bad
  md5sum -c -s /dev/shm/sums && memory=good
  read -r up _ </proc/uptime
  tick=$((tick + 1))
  echo "tick $tick up $up wall $(date +%s) host $host memory $memory draw $draw"
  sleep 0.2
done

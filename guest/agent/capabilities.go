// Reduces the capabilities that anything the application runs can ever gain to a container's default.
package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

const prCapbsetDrop = 24

// The set of reference section c.6, by the numbers of linux/capability.h.
const containerCapabilities = 1<<0 | // chown
	1<<1 | // dac_override
	1<<3 | // fowner
	1<<4 | // fsetid
	1<<5 | // kill
	1<<6 | // setgid
	1<<7 | // setuid
	1<<8 | // setpcap
	1<<10 | // net_bind_service
	1<<13 | // net_raw
	1<<18 | // sys_chroot
	1<<27 | // mknod
	1<<29 | // audit_write
	1<<31 // setfcap

// boundCapabilities acts on the calling thread, which must be locked.
func boundCapabilities() error {
	last := uint64(40)
	if text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap"); err == nil {
		if number, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 6); err == nil {
			last = number
		}
	}
	for number := uint64(0); number <= last; number++ {
		if uint64(containerCapabilities)>>number&1 == 1 {
			continue
		}
		if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prCapbsetDrop, uintptr(number), 0); errno != 0 {
			return errno
		}
	}
	return nil
}

// Limits and rights of the process that the launcher becomes.
package main

import (
	"syscall"
	"unsafe"
)

const (
	prSetNoNewPrivs   = 38
	prCapAmbient      = 47
	ambientClearAll   = 4
	capabilityVersion = 0x20080522

	limitFileSize  = 1
	limitCore      = 4
	limitOpenFiles = 7
	limitLocked    = 8
	limitQueues    = 12
	limitNice      = 13
	limitRealTime  = 14
)

func setLimits(p plan) {
	limit("file size", limitFileSize, p.maxFile)
	limit("open files", limitOpenFiles, p.maxOpen)
	limit("core", limitCore, 0)
	limit("locked memory", limitLocked, 0)
	limit("message queues", limitQueues, 0)
	limit("nice", limitNice, 0)
	limit("real-time priority", limitRealTime, 0)
}

// limit never raises what the launcher itself was given: that needs a right of its own.
func limit(name string, resource int, value uint64) {
	var current syscall.Rlimit
	check("read the limit of "+name, syscall.Getrlimit(resource, &current))
	if current.Max < value {
		value = current.Max
	}
	both := syscall.Rlimit{Cur: value, Max: value}
	check("limit "+name, call(syscall.SYS_SETRLIMIT, uintptr(resource), uintptr(unsafe.Pointer(&both)), 0))
}

// dropRights leaves a user of its own with no capability, now or after any exec.
func dropRights(p plan) {
	for capability := uintptr(0); ; capability++ {
		err := call(syscall.SYS_PRCTL, syscall.PR_CAPBSET_DROP, capability, 0)
		if err == syscall.EINVAL && capability > 0 {
			break
		}
		check("empty the bounding set", err)
	}
	check("clear ambient capabilities", call(syscall.SYS_PRCTL, prCapAmbient, ambientClearAll, 0))
	groups := []uint32{uint32(p.group)}
	count := uintptr(0)
	if p.group != 0 {
		count = 1
	}
	check("drop groups", call(syscall.SYS_SETGROUPS, count, uintptr(unsafe.Pointer(&groups[0])), 0))
	check("set gid", call(syscall.SYS_SETRESGID, uintptr(p.uid), uintptr(p.uid), uintptr(p.uid)))
	check("set uid", call(syscall.SYS_SETRESUID, uintptr(p.uid), uintptr(p.uid), uintptr(p.uid)))
	header := struct{ version, pid uint32 }{capabilityVersion, 0}
	var none [6]uint32
	check("drop capabilities", call(syscall.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&none)), 0))
	check("set no_new_privs", call(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0))
}

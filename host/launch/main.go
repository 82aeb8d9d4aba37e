// launch NETNS TAP UID GROUP -- COMMAND ARG...
//
// Becomes COMMAND as an unprivileged user inside a network namespace, with the namespace's tap already open, because
// Node can do none of this: enter a namespace, open a tap (an ioctl), or set no_new_privs. The process id and the
// inherited descriptors stay. NETNS is a path or "-"; TAP is a name or "-"; the tap becomes
// descriptor 9. GROUP is one group beside the user's own (that of /dev/kvm), or "-".
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	tapDescriptor  = 9
	sysSetns       = 308
	cloneNewNet    = 0x40000000
	prSetNoNewPriv = 38
	tunSetIff      = 0x400454ca
	iffTap         = 0x0002
	iffNoPi        = 0x1000
	iffVnetHdr     = 0x4000
)

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "launch: %s: %v\n", what, err)
	os.Exit(125)
}

func enter(path string) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		fail("open "+path, err)
	}
	if _, _, errno := syscall.RawSyscall(sysSetns, uintptr(fd), cloneNewNet, 0); errno != 0 {
		fail("enter "+path, errno)
	}
}

func openTap(name string) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		fail("open /dev/net/tun", err)
	}
	var request [40]byte
	copy(request[:15], name)
	*(*uint16)(unsafe.Pointer(&request[16])) = iffTap | iffNoPi | iffVnetHdr
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), tunSetIff, uintptr(unsafe.Pointer(&request[0]))); errno != 0 {
		fail("attach to tap "+name, errno)
	}
	if err := syscall.Dup3(fd, tapDescriptor, 0); err != nil {
		fail("keep the tap", err)
	}
	syscall.Close(fd)
}

func drop(uid int, groups []int) {
	if err := syscall.Setgroups(groups); err != nil {
		fail("drop groups", err)
	}
	if err := syscall.Setresgid(uid, uid, uid); err != nil {
		fail("set gid", err)
	}
	if err := syscall.Setresuid(uid, uid, uid); err != nil {
		fail("set uid", err)
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetNoNewPriv, 1, 0); errno != 0 {
		fail("set no_new_privs", errno)
	}
}

func number(name, text string) int {
	value, err := strconv.Atoi(text)
	if err != nil || value <= 0 {
		fail(name, fmt.Errorf("%q is not a positive number", text))
	}
	return value
}

func main() {
	runtime.LockOSThread()
	if len(os.Args) < 7 || os.Args[5] != "--" {
		fmt.Fprintln(os.Stderr, "usage: launch NETNS TAP UID GROUP -- COMMAND ARG...")
		os.Exit(125)
	}
	uid, groups := number("uid", os.Args[3]), []int{}
	if os.Args[4] != "-" {
		groups = append(groups, number("group", os.Args[4]))
	}
	if os.Args[1] != "-" {
		enter(os.Args[1])
	}
	if os.Args[2] != "-" {
		openTap(os.Args[2])
	}
	drop(uid, groups)
	fail("start "+os.Args[6], syscall.Exec(os.Args[6], os.Args[6:], os.Environ()))
}

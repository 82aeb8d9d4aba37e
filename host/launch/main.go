// launch NETNS TAP UID -- COMMAND ARG...
//
// Becomes COMMAND as an unprivileged user inside a network namespace, with the namespace's tap already open, because
// Node can do none of this: enter a namespace, open a tap (an ioctl), or set no_new_privs. The process id and the
// inherited descriptors stay. NETNS is a path or "-"; TAP is a name or "-"; the tap becomes descriptor 9.
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

func drop(uid int) {
	if err := syscall.Setgroups([]int{}); err != nil {
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

func main() {
	runtime.LockOSThread()
	if len(os.Args) < 6 || os.Args[4] != "--" {
		fmt.Fprintln(os.Stderr, "usage: launch NETNS TAP UID -- COMMAND ARG...")
		os.Exit(125)
	}
	uid, err := strconv.Atoi(os.Args[3])
	if err != nil {
		fail("uid", err)
	}
	if os.Args[1] != "-" {
		enter(os.Args[1])
	}
	if os.Args[2] != "-" {
		openTap(os.Args[2])
	}
	drop(uid)
	fail("start "+os.Args[5], syscall.Exec(os.Args[5], os.Args[5:], os.Environ()))
}

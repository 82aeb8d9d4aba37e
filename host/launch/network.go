// The slot's network: its namespace is entered, its tap opened.
package main

import (
	"syscall"
	"unsafe"
)

const (
	tapDescriptor = 9
	sysSetns      = 308
	cloneNewNet   = 0x40000000
	tunSetIff     = 0x400454ca
	iffTap        = 0x0002
	iffNoPi       = 0x1000
	iffVnetHdr    = 0x4000
)

func enterNetwork(path string) {
	fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	check("open "+path, err)
	check("enter "+path, call(sysSetns, uintptr(fd), cloneNewNet, 0))
	syscall.Close(fd)
}

func openTap(name string) {
	fd, err := syscall.Open("/dev/net/tun", syscall.O_RDWR|syscall.O_NONBLOCK, 0)
	check("open /dev/net/tun", err)
	var request [40]byte
	copy(request[:15], name)
	*(*uint16)(unsafe.Pointer(&request[16])) = iffTap | iffNoPi | iffVnetHdr
	check("attach to tap "+name, call(syscall.SYS_IOCTL, uintptr(fd), tunSetIff, uintptr(unsafe.Pointer(&request[0]))))
	check("keep the tap", syscall.Dup3(fd, tapDescriptor, 0))
	syscall.Close(fd)
}

// Sockets of the relay and the hooks.
package main

import (
	"encoding/binary"
	"syscall"
	"unsafe"
)

var loopback = [4]byte{127, 0, 0, 1}

// dialLoopback starts a connection; the loop tells when it stands or failed.
func dialLoopback(port int) (int, error) {
	fd, err := newSocket()
	if err != nil {
		return -1, err
	}
	address := socketAddress(loopback, port)
	_, _, errno := syscall.RawSyscall(syscall.SYS_CONNECT, uintptr(fd), uintptr(unsafe.Pointer(&address)), unsafe.Sizeof(address))
	if errno != 0 && errno != syscall.EINPROGRESS {
		syscall.Close(fd)
		return -1, errno
	}
	return fd, nil
}

func newSocket() (int, error) {
	fd, _, errno := syscall.RawSyscall(syscall.SYS_SOCKET, syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), noDelay(int(fd))
}

func noDelay(fd int) error {
	return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
}

// acknowledge sends the acknowledgement of what was read now instead of up to 40 ms later. Applications that write an
// answer in pieces and leave Nagle's algorithm on wait for it; the kernel forgets the wish after each delivery.
func acknowledge(fd int) {
	on := int32(1)
	syscall.RawSyscall6(syscall.SYS_SETSOCKOPT, uintptr(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, uintptr(unsafe.Pointer(&on)), unsafe.Sizeof(on), 0)
}

func socketAddress(address [4]byte, port int) syscall.RawSockaddrInet4 {
	raw := syscall.RawSockaddrInet4{Family: syscall.AF_INET, Addr: address}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&raw.Port))[:], uint16(port))
	return raw
}

// listenOn makes a listener whose connections inherit TCP_NODELAY.
func listenOn(address [4]byte, port int) (int, error) {
	fd, err := newSocket()
	if err != nil {
		return -1, err
	}
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		if err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: address, Port: port}); err == nil {
			err = syscall.Listen(fd, 1024)
		}
	}
	if err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func accept(listener int) (fd int, peer [4]byte, err error) {
	var address syscall.RawSockaddrInet4
	size := uint32(unsafe.Sizeof(address))
	n, _, errno := syscall.RawSyscall6(syscall.SYS_ACCEPT4, uintptr(listener), uintptr(unsafe.Pointer(&address)),
		uintptr(unsafe.Pointer(&size)), syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, peer, errno
	}
	return int(n), address.Addr, nil
}

// connected returns why a started connection does not stand.
func connected(fd int) error {
	code, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
	if err == nil && code != 0 {
		err = syscall.Errno(code)
	}
	return err
}

// resetOnClose makes the close that follows send RST and leave nothing behind.
func resetOnClose(fd int) {
	linger := syscall.Linger{Onoff: 1, Linger: 0}
	syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &linger)
}

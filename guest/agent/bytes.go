// System calls on descriptors that never block, without the runtime's bookkeeping for calls that might.
package main

import (
	"syscall"
	"unsafe"
)

const (
	msgNoSignal = 0x4000
	msgDontWait = 0x40
)

func pointerTo(buffer []byte) uintptr { return uintptr(unsafe.Pointer(&buffer[0])) }

func result(n uintptr, errno syscall.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// receive and send are for sockets, tryRead and tryWrite for pipes and ports. No buffer may be empty.
func receive(fd int, buffer []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), pointerTo(buffer), uintptr(len(buffer)), msgDontWait, 0, 0)
	return result(n, errno)
}

func send(fd int, text []byte) (int, error) {
	n, _, errno := syscall.RawSyscall6(syscall.SYS_SENDTO, uintptr(fd), pointerTo(text), uintptr(len(text)), msgDontWait|msgNoSignal, 0, 0)
	return result(n, errno)
}

func tryRead(fd int, buffer []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), pointerTo(buffer), uintptr(len(buffer)))
	return result(n, errno)
}

func tryWrite(fd int, text []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), pointerTo(text), uintptr(len(text)))
	return result(n, errno)
}

// wouldBlock also covers an interruption: the edge comes again, or the caller asks again.
func wouldBlock(err error) bool { return err == syscall.EAGAIN || err == syscall.EINTR }

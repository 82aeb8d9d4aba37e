// Pseudo terminals.
package main

import (
	"os"
	"syscall"
	"unsafe"
)

const (
	tiocSetLock    = 0x40045431
	tiocOpenPeer   = 0x5441
	tiocWindowSize = 0x5414
	noControlling  = syscall.O_RDWR | syscall.O_NOCTTY | syscall.O_CLOEXEC
)

// openTerminal returns both ends. Nothing but /dev/ptmx is looked up by name.
func openTerminal() (master, slave *os.File, err error) {
	fd, err := syscall.Open("/dev/ptmx", noControlling|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	locked := int32(0)
	if err := ioctl(fd, tiocSetLock, unsafe.Pointer(&locked)); err != nil {
		syscall.Close(fd)
		return nil, nil, os.NewSyscallError("unlock /dev/ptmx", err)
	}
	peer, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), tiocOpenPeer, noControlling)
	if errno != 0 {
		syscall.Close(fd)
		return nil, nil, os.NewSyscallError("terminal", errno)
	}
	return os.NewFile(uintptr(fd), "terminal"), os.NewFile(peer, "tty"), nil
}

type windowSize struct{ rows, columns, width, height uint16 }

func setWindowSize(terminal *os.File, columns, rows uint16) error {
	size := windowSize{rows: rows, columns: columns}
	raw, err := terminal.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { ioctl(int(fd), tiocWindowSize, unsafe.Pointer(&size)) })
}

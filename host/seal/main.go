// seal SIZE_BYTES NAME: makes a memory file that nobody can change after it was filled.
// It holds the file while its caller opens /proc/PID/fd/N: prints `fd N`, waits for the line `seal`,
// seals against writing, growing and shrinking, prints `sealed`, and ends with its standard input.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	sysMemfdCreate  = 319
	mfdCloexec      = 1
	mfdAllowSealing = 2
	fAddSeals       = 1033
	allSeals        = 1 | 2 | 4 | 8 // seal, shrink, grow, write
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "seal:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("usage: seal SIZE_BYTES NAME")
	}
	size, err := strconv.ParseInt(arguments[0], 10, 64)
	if err != nil || size < 1 {
		return fmt.Errorf("%q is not a size in bytes", arguments[0])
	}
	fd, err := create(arguments[1], size)
	if err != nil {
		return err
	}
	fmt.Printf("fd %d\n", fd)
	input := bufio.NewReaderSize(os.Stdin, 64)
	if line, err := input.ReadString('\n'); err != nil || line != "seal\n" {
		return fmt.Errorf("expected the line `seal`, got %q", line)
	}
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), fAddSeals, allSeals); errno != 0 {
		return fmt.Errorf("add seals: %w", errno) // EBUSY: a writable mapping is still there
	}
	fmt.Println("sealed")
	_, err = io.Copy(io.Discard, input)
	return err
}

func create(name string, size int64) (int, error) {
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return -1, err
	}
	fd, _, errno := syscall.Syscall(sysMemfdCreate, uintptr(unsafe.Pointer(path)), mfdCloexec|mfdAllowSealing, 0)
	if errno != 0 {
		return -1, fmt.Errorf("memfd_create: %w", errno)
	}
	if err := syscall.Fchmod(int(fd), 0o666); err != nil {
		return -1, fmt.Errorf("chmod: %w", err)
	}
	if err := syscall.Ftruncate(int(fd), size); err != nil {
		return -1, fmt.Errorf("truncate: %w", err)
	}
	return int(fd), nil
}

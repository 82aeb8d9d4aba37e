// Loads the kernel modules of the initramfs, in the order its build wrote down.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

const sysFinitModule = 313

// loadModules loads every module named in directory/order. One that fails does not stop the others:
// a VM without a network card still has to answer.
func loadModules(directory string) error {
	order, err := os.ReadFile(directory + "/order")
	if err != nil {
		return err
	}
	var first error
	for _, name := range strings.Fields(string(order)) {
		if err := loadModule(directory + "/" + name); err != nil && first == nil {
			first = fmt.Errorf("%s: %w", name, err)
		}
	}
	return first
}

func loadModule(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	noParameters := []byte{0}
	_, _, errno := syscall.Syscall(sysFinitModule, file.Fd(), uintptr(unsafe.Pointer(&noParameters[0])), 0)
	if errno != 0 && !errors.Is(errno, syscall.EEXIST) {
		return errno
	}
	return nil
}

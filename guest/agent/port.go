// A virtio-serial port. The host side comes and goes: a restored VM meets another host process. The driver shows
// an absent host as reads of 0 bytes and as EPOLLHUP; the next edge tells when it is back, so nothing here spins.
package main

import (
	"os"
	"strings"
	"syscall"
	"time"
)

// openPort waits until the host has announced the named port, then opens it for good.
func openPort(name string, patience time.Duration) (int, error) {
	for end := now() + patience; ; {
		if device := findPort(name); device != "" {
			return syscall.Open("/dev/"+device, syscall.O_RDWR|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
		}
		if now() > end {
			return -1, syscall.ENODEV
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func findPort(name string) string {
	const class = "/sys/class/virtio-ports/"
	entries, err := os.ReadDir(class)
	if err != nil {
		return ""
	}
	for _, entry := range entries {
		text, err := os.ReadFile(class + entry.Name() + "/name")
		if err == nil && strings.TrimSpace(string(text)) == name {
			return entry.Name()
		}
	}
	return ""
}

// A fresh /dev with what every container has, and nothing of the machine's own.
package main

import (
	"fmt"
	"os"
	"syscall"
)

var deviceNodes = []struct {
	name         string
	major, minor int
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
	// The machine's console belongs to the host; what an application writes there goes nowhere.
	{"console", 1, 3},
}

var deviceMounts = []mountPoint{
	{"tmpfs", "/dev", "tmpfs", syscall.MS_NOSUID | syscall.MS_NOEXEC | syscall.MS_STRICTATIME, "mode=755,size=65536k"},
	{"devpts", "/dev/pts", "devpts", syscall.MS_NOSUID | syscall.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"},
	{"shm", "/dev/shm", "tmpfs", sealed, "mode=1777,size=64m"},
	{"mqueue", "/dev/mqueue", "mqueue", sealed, ""},
}

var deviceLinks = [][2]string{
	{"pts/ptmx", "/dev/ptmx"}, {"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"},
	{"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"},
}

func mountDevices() error {
	for _, point := range deviceMounts {
		if err := mountAt(point); err != nil {
			return err
		}
	}
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	for _, node := range deviceNodes {
		if err := syscall.Mknod("/dev/"+node.name, syscall.S_IFCHR|0o666, node.major<<8|node.minor); err != nil {
			return fmt.Errorf("/dev/%s: %w", node.name, err)
		}
	}
	for _, link := range deviceLinks {
		if err := os.Symlink(link[0], link[1]); err != nil {
			return err
		}
	}
	return nil
}

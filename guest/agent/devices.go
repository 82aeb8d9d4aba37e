// A fresh /dev with what every container has, and nothing of the machine's own.
package main

import (
	"fmt"
	"os"
	"syscall"
)

const (
	character = syscall.S_IFCHR | 0o666
	block     = syscall.S_IFBLK | 0o660
	loopNodes = 8
)

type deviceNode struct {
	name         string
	kind         uint32
	major, minor int
}

var deviceNodes = []deviceNode{
	{"null", character, 1, 3}, {"zero", character, 1, 5}, {"full", character, 1, 7}, {"random", character, 1, 8}, {"urandom", character, 1, 9}, {"tty", character, 5, 0},
	// The machine's console belongs to the host; what an application writes there goes nowhere.
	{"console", character, 1, 3},
}

// What nested containers, FUSE, tunnels and disk images need beside these. Opening one loads its module.
var privilegedNodes = []deviceNode{
	{"fuse", character, 10, 229}, {"net/tun", character, 10, 200}, {"loop-control", syscall.S_IFCHR | 0o660, 10, 237},
	{"kmsg", syscall.S_IFCHR | 0o644, 1, 11},
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

// mountDevices leaves a /dev in which, without all capabilities, no node works but those it made: root may make others
// (CAP_MKNOD is in the default set), but cannot open them, here or anywhere else.
func mountDevices(allCapabilities bool) error {
	for _, point := range deviceMounts {
		if err := mountAt(point); err != nil {
			return err
		}
	}
	nodes := deviceNodes
	if allCapabilities {
		nodes = append(nodes, privilegedNodes...)
		for i := 0; i < loopNodes; i++ {
			nodes = append(nodes, deviceNode{fmt.Sprintf("loop%d", i), block, 7, i})
		}
		if err := os.Mkdir("/dev/net", 0o755); err != nil {
			return err
		}
	}
	before := syscall.Umask(0)
	defer syscall.Umask(before)
	for _, node := range nodes {
		if err := syscall.Mknod("/dev/"+node.name, node.kind, node.major<<8|node.minor); err != nil {
			return fmt.Errorf("/dev/%s: %w", node.name, err)
		}
	}
	for _, link := range deviceLinks {
		if err := os.Symlink(link[0], link[1]); err != nil {
			return err
		}
	}
	if allCapabilities {
		return nil
	}
	return closeDevices()
}

// closeDevices mounts each node over itself, which keeps it usable, and forbids devices on the rest of /dev.
func closeDevices() error {
	for _, node := range deviceNodes {
		path := "/dev/" + node.name
		if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	flags := uintptr(syscall.MS_NOSUID | syscall.MS_NOEXEC | syscall.MS_NODEV | syscall.MS_STRICTATIME)
	if err := syscall.Mount("", "/dev", "", syscall.MS_BIND|syscall.MS_REMOUNT|flags, ""); err != nil {
		return fmt.Errorf("/dev: %w", err)
	}
	return nil
}

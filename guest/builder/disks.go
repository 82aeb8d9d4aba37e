// The disks beside the root: the zip (read-only), the account's cache, and the one that becomes the application's root disk.
// Nobody made nodes for them: an application's /dev has none.
package main

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// Device nodes lie where RUN steps do not get to see them; they do see /dev.
const nodeRoot = "/run/disks"

// Past this share of the cache its layers are dropped, so that the next build has room.
const fullShare = 0.5

// What is left in /dev: buildah shows it to RUN steps, and with all capabilities an application has more than a container.
var keptDevices = map[string]bool{"null": true, "zero": true, "full": true, "random": true, "urandom": true, "tty": true}

type attached struct {
	zip     *os.File
	output  string
	mounted bool
}

var disks attached

// mountCache opens all disks and mounts the cache. One that cannot be mounted, or is rather full, starts anew.
func (d *attached) mountCache() error {
	if err := os.MkdirAll(nodeRoot, 0o700); err != nil {
		return err
	}
	// The root disk is mounted without device nodes.
	if err := syscall.Mount("tmpfs", nodeRoot, "tmpfs", syscall.MS_NOSUID|syscall.MS_NOEXEC, "mode=0700,size=64k"); err != nil {
		return fmt.Errorf("%s: %w", nodeRoot, err)
	}
	nodes := map[string]string{}
	for _, name := range []string{"vdb", "vdc", "vdd"} {
		node, err := makeNode(name)
		if err != nil {
			return err
		}
		nodes[name] = node
	}
	var err error
	if d.zip, err = os.Open(nodes["vdb"]); err != nil {
		return err
	}
	d.output = nodes["vdd"]
	if err := os.MkdirAll(cacheRoot, 0o700); err != nil {
		return err
	}
	cache := nodes["vdc"]
	if d.mount(cache) != nil {
		if err := d.format(cache); err != nil {
			return err
		}
	} else if d.isRatherFull() {
		if err := syscall.Unmount(cacheRoot, 0); err != nil {
			return err
		}
		if err := d.format(cache); err != nil {
			return err
		}
	}
	return os.RemoveAll(workRoot)
}

// closeDevices removes the nodes that only this program, or a container runtime, would have a use for.
func closeDevices() error {
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		isNode := entry.Type()&os.ModeDevice != 0
		if isNode && !keptDevices[entry.Name()] || entry.Name() == "net" {
			if err := os.RemoveAll("/dev/" + entry.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d *attached) mount(device string) error {
	const flags = syscall.MS_NODEV | syscall.MS_NOATIME
	err := syscall.Mount(device, cacheRoot, "ext4", flags, "discard,errors=remount-ro")
	d.mounted = err == nil
	return err
}

func (d *attached) format(device string) error {
	d.mounted = false
	made := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", "-J", "size=16", "-E", "lazy_itable_init=1,lazy_journal_init=1", device)
	if said, err := made.CombinedOutput(); err != nil {
		return fmt.Errorf("the cache disk cannot be formatted: %v: %s", err, said)
	}
	if err := d.mount(device); err != nil {
		return fmt.Errorf("the cache disk cannot be mounted: %w", err)
	}
	return nil
}

func (d *attached) isRatherFull() bool {
	var facts syscall.Statfs_t
	if err := syscall.Statfs(cacheRoot, &facts); err != nil {
		return true
	}
	return float64(facts.Bavail) < float64(facts.Blocks)*(1-fullShare)
}

// release leaves the cache whole for the next build; without a clean end the host throws it away.
func (d *attached) release() error {
	if !d.mounted {
		return nil
	}
	os.RemoveAll(workRoot)
	unmountBelow(cacheRoot)
	giveBackFree()
	if err := syscall.Unmount(cacheRoot, 0); err != nil {
		return fmt.Errorf("the cache disk cannot be unmounted: %w", err)
	}
	syscall.Sync()
	return nil
}

// giveBackFree tells the host which blocks hold nothing: an unmount forgets what was freed just before it. At worst the disk stays larger.
func giveBackFree() {
	const fitrim = 0xc0185879
	directory, err := os.Open(cacheRoot)
	if err != nil {
		return
	}
	defer directory.Close()
	span := struct{ start, length, shortest uint64 }{length: math.MaxUint64, shortest: 64 << 10}
	syscall.Syscall(syscall.SYS_IOCTL, directory.Fd(), fitrim, uintptr(unsafe.Pointer(&span)))
}

// unmountBelow undoes mounts that a killed buildah left, the last one first.
func unmountBelow(directory string) {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return
	}
	lines := strings.Split(string(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		fields := strings.Fields(lines[i])
		if len(fields) > 1 && strings.HasPrefix(fields[1], directory+"/") {
			syscall.Unmount(fields[1], syscall.MNT_DETACH)
		}
	}
}

func makeNode(name string) (string, error) {
	text, err := os.ReadFile("/sys/block/" + name + "/dev")
	if err != nil {
		return "", err
	}
	majorText, minorText, _ := strings.Cut(strings.TrimSpace(string(text)), ":")
	major, err := strconv.Atoi(majorText)
	if err != nil {
		return "", err
	}
	minor, err := strconv.Atoi(minorText)
	if err != nil {
		return "", err
	}
	node := nodeRoot + "/" + name
	if err := syscall.Mknod(node, syscall.S_IFBLK|0o600, major<<8|minor); err != nil {
		return "", fmt.Errorf("%s: %w", node, err)
	}
	return node, nil
}

// The file system the application sees: its disk as the root, and the mounts every container has.
package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

const (
	cloneNewCgroup = 0x02000000
	sealed         = syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC
	oPath          = 0x200000
)

var maskedFiles = []string{"/proc/kcore", "/proc/sysrq-trigger", "/proc/keys", "/proc/timer_list"}

// enterRoot moves the disk over `/`: an initramfs cannot be pivoted away. All mounts follow inside the new
// root, so that no symlink of the image is ever followed outside it.
func enterRoot(allCapabilities bool) error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("private mounts: %w", err)
	}
	sources := make([]int, len(boundFiles))
	for i, file := range boundFiles {
		fd, err := syscall.Open("/run/"+file.name, oPath|syscall.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("%s: %w", file.name, err)
		}
		sources[i] = fd
	}
	for _, path := range []string{"/sys/fs/cgroup", "/sys", "/proc", "/dev"} {
		syscall.Unmount(path, syscall.MNT_DETACH)
	}
	if err := moveRoot(); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	for _, step := range []func(bool) error{mountKernelFiles, func(bool) error { return mountDevices() },
		func(bool) error { return bindIdentity(sources) }, maskKernelFiles} {
		if err := step(allCapabilities); err != nil {
			return err
		}
	}
	return nil
}

func moveRoot() error {
	if err := syscall.Chdir(applicationRoot); err != nil {
		return err
	}
	if err := syscall.Mount(".", "/", "", syscall.MS_MOVE, ""); err != nil {
		return err
	}
	if err := syscall.Chroot("."); err != nil {
		return err
	}
	return syscall.Chdir("/")
}

func mountKernelFiles(allCapabilities bool) error {
	points := []mountPoint{{"proc", "/proc", "proc", sealed, ""}}
	if allCapabilities {
		points = append(points, mountPoint{"sysfs", "/sys", "sysfs", sealed, ""},
			mountPoint{"cgroup2", "/sys/fs/cgroup", "cgroup2", sealed, ""})
	} else {
		points = append(points, mountPoint{"sysfs", "/sys", "sysfs", sealed | syscall.MS_RDONLY, ""})
	}
	for _, point := range points {
		if err := mountAt(point); err != nil {
			return err
		}
	}
	if allCapabilities {
		return nil
	}
	return readOnly("/proc/sys")
}

func readOnly(path string) error {
	if err := syscall.Mount(path, path, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := syscall.Mount("", path, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|sealed, ""); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func bindIdentity(sources []int) error {
	for i, file := range boundFiles {
		if err := ensureFile(file.target); err != nil {
			return fmt.Errorf("%s: %w", file.target, err)
		}
		if err := syscall.Mount(fmt.Sprintf("/proc/self/fd/%d", sources[i]), file.target, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", file.target, err)
		}
		syscall.Close(sources[i])
	}
	// The application may rewrite these as in a container, but not the kernel's boot id.
	return syscall.Mount("", "/proc/sys/kernel/random/boot_id", "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY|sealed, "")
}

// ensureFile makes a missing mount target; a symlink into nowhere (resolv.conf of many images) is replaced.
func ensureFile(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll("/etc", 0o755); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o644)
	if err != nil {
		return err
	}
	return file.Close()
}

func maskKernelFiles(allCapabilities bool) error {
	if allCapabilities {
		return nil
	}
	for _, path := range maskedFiles {
		if _, err := os.Lstat(path); err != nil {
			continue
		}
		if err := syscall.Mount("/dev/null", path, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

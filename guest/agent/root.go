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

// What an application without all capabilities sees of the kernel, as under container runtimes: nothing, or nothing it can change.
var (
	hiddenPaths = []string{"/proc/kcore", "/proc/keys", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/sched_debug", "/proc/latency_stats",
		"/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup", "/proc/vmallocinfo", "/proc/acpi", "/proc/scsi"}
	readOnlyPaths = []string{"/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq"}
)

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
	if err := mountKernelFiles(allCapabilities); err != nil {
		return err
	}
	if err := mountDevices(allCapabilities); err != nil {
		return err
	}
	limit := limitKernelFiles
	if allCapabilities {
		limit = allowDevices
	}
	if err := limit(); err != nil {
		return err
	}
	return bindIdentity(sources)
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
	return nil
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

// allowDevices is for nested containers: they make device nodes in their own roots, and use them.
func allowDevices() error {
	return syscall.Mount("", "/", "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_NOATIME, "")
}

func limitKernelFiles() error {
	for _, path := range readOnlyPaths {
		if _, err := os.Lstat(path); err != nil {
			continue // this kernel has none
		}
		if err := readOnly(path); err != nil {
			return err
		}
	}
	for _, path := range hiddenPaths {
		about, err := os.Lstat(path)
		if err != nil {
			continue
		}
		if about.IsDir() {
			err = syscall.Mount("tmpfs", path, "tmpfs", sealed|syscall.MS_RDONLY, "size=0")
		} else {
			err = syscall.Mount("/dev/null", path, "", syscall.MS_BIND, "")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

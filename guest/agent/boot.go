// What the agent does once, before it answers: mounts, modules, network, the application's disk.
package main

import (
	"fmt"
	"os"
	"syscall"
)

const (
	applicationRoot = "/app"
	rootDisk        = "/dev/vda"
)

// machine is everything the agent holds between two questions.
type machine struct {
	loop     *eventLoop
	control  *control
	rootErr  error // why there is no application root, or nil
	identity *identity
	cgroup   *cgroup
	relay    *relay
	sockets  *socketTable
	log      *logShipper
	random   int // the kernel's random device, open for reseeding
	started  bool
	quiesced bool
	trimmed  bool // memory was given back once, before the image snapshot
}

type mountPoint struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

var initialMounts = []mountPoint{
	{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
	{"sysfs", "/sys", "sysfs", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
	{"devtmpfs", "/dev", "devtmpfs", syscall.MS_NOSUID | syscall.MS_NOEXEC, "mode=0755"},
	{"cgroup2", cgroupRoot, "cgroup2", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
	{"tmpfs", "/run", "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, "mode=0755,size=1m"},
}

func boot() *machine {
	for _, point := range initialMounts {
		if err := mountAt(point); err != nil {
			complain("mount", err)
		}
	}
	limit := syscall.Rlimit{Cur: 8192, Max: openFilesHard}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		complain("open files", err)
	}
	if err := loadModules(modulesDirectory); err != nil {
		complain("modules", err)
	}
	// Until an application with all capabilities is started, the kernel asks nobody for modules.
	if err := os.WriteFile(modprobeSetting, []byte("\n"), 0); err != nil {
		complain("module loading", err)
	}
	hasNetwork, err := configureNetwork()
	if err != nil {
		complain("network", err)
	}
	m := &machine{rootErr: mountRootDisk()}
	if m.loop, err = newEventLoop(); err != nil {
		complain("event loop", err)
	}
	if m.identity, err = makeIdentity("/run"); err != nil {
		complain("identity files", err)
	}
	if m.cgroup, err = makeCgroup(appCgroup); err != nil {
		complain("cgroup", err)
	}
	if m.sockets, err = openSocketTable(); err != nil {
		complain("socket table", err)
	}
	if m.random, err = syscall.Open("/dev/urandom", syscall.O_RDONLY|syscall.O_CLOEXEC, 0); err != nil {
		complain("random device", err)
	}
	m.relay = newRelay(m.loop)
	if hasNetwork {
		if err := m.relay.listen(); err != nil {
			complain("relay", err)
		}
	}
	return m
}

func mountAt(point mountPoint) error {
	if err := os.MkdirAll(point.target, 0o755); err != nil {
		return err
	}
	if err := syscall.Mount(point.source, point.target, point.kind, point.flags, point.data); err != nil {
		return fmt.Errorf("%s on %s: %w", point.kind, point.target, err)
	}
	return nil
}

func mountRootDisk() error {
	if _, err := os.Stat(rootDisk); err != nil {
		return mountPackedRoot(err)
	}
	err := mountAt(mountPoint{rootDisk, applicationRoot, "ext4", syscall.MS_NODEV | syscall.MS_NOATIME, ""})
	if err != nil {
		return fmt.Errorf("the root disk cannot be mounted: %w", err)
	}
	return nil
}

// mountPackedRoot serves a VM without a disk: its application may have come with the initramfs.
func mountPackedRoot(noDisk error) error {
	if packed, err := os.ReadDir(applicationRoot); err != nil || len(packed) == 0 {
		return fmt.Errorf("the VM has no root disk: %w", noDisk)
	}
	return mountAt(mountPoint{applicationRoot, applicationRoot, "", syscall.MS_BIND, ""})
}

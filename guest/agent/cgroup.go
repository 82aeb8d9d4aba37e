// The application's cgroup: one switch that stops and continues everything it runs.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

const (
	cgroupRoot = "/sys/fs/cgroup"
	appCgroup  = cgroupRoot + "/app"
)

type cgroup struct {
	freezeFd, eventsFd int
	buffer             [128]byte
}

const freezeDeadline = 2 * time.Second

func makeCgroup(directory string) (*cgroup, error) {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return nil, err
	}
	freezeFd, err := syscall.Open(directory+"/cgroup.freeze", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	eventsFd, err := syscall.Open(directory+"/cgroup.events", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &cgroup{freezeFd: freezeFd, eventsFd: eventsFd}, nil
}

// freeze returns when every process stands still, or thaws again and says so after the deadline.
func (c *cgroup) freeze() error {
	if _, err := tryWrite(c.freezeFd, []byte("1")); err != nil {
		return err
	}
	for end := time.Now().Add(freezeDeadline); ; {
		n, err := syscall.Pread(c.eventsFd, c.buffer[:], 0)
		if err != nil {
			return err
		}
		events := c.buffer[:n]
		// An empty cgroup is never reported as frozen: there is nobody to stop.
		if bytes.Contains(events, []byte("frozen 1")) || bytes.Contains(events, []byte("populated 0")) {
			return nil
		}
		if time.Now().After(end) {
			c.thaw()
			return fmt.Errorf("the application did not freeze within %v", freezeDeadline)
		}
		time.Sleep(500 * time.Microsecond)
	}
}

func (c *cgroup) thaw() error {
	_, err := tryWrite(c.freezeFd, []byte("0"))
	return err
}

// enterCgroup joins before anything of the application runs, then makes that cgroup look like the root.
func enterCgroup(allCapabilities bool) error {
	if err := joinCgroup(appCgroup); err != nil {
		return err
	}
	if err := syscall.Unshare(cloneNewCgroup); err != nil || !allCapabilities {
		return err
	}
	return delegateCgroup()
}

// delegateCgroup lets container runtimes make cgroups with limits. A cgroup that hands controllers down may hold no
// process itself, so the application moves into a leaf.
func delegateCgroup() error {
	leaf := appCgroup + "/init"
	if err := os.MkdirAll(leaf, 0o755); err != nil {
		return err
	}
	if err := joinCgroup(leaf); err != nil {
		return err
	}
	for _, directory := range []string{cgroupRoot, appCgroup} {
		controllers, err := os.ReadFile(directory + "/cgroup.controllers")
		if err != nil {
			return err
		}
		wanted := ""
		for _, name := range strings.Fields(string(controllers)) {
			wanted += " +" + name
		}
		if err := os.WriteFile(directory+"/cgroup.subtree_control", []byte(wanted), 0); err != nil {
			return err
		}
	}
	return nil
}

func joinCgroup(directory string) error {
	return os.WriteFile(directory+"/cgroup.procs", []byte("0"), 0)
}

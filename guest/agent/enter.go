// The way into the application's environment: the agent's binary, born in its process namespace, takes on everything else the application
// has, gives up what it has not, and executes itself anew as the keeper. From then on nothing of the agent's is within reach.
package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
)

const (
	enterName = "waterbear-enter"

	keeperFd     = 3 // what follows holds for both: the conversation, the plan
	keeperPlanFd = 4
	enterAppFd   = 5 // the application's process

	prSetDumpable = 4
	sharedSpaces  = syscall.CLONE_NEWNS | cloneNewCgroup | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS
)

// enter is told the application's process id, as the agent sees it.
func enter(pid string, allCapabilities bool) {
	// Namespaces and capabilities belong to a thread; the one that changes them is the one that executes.
	runtime.LockOSThread()
	syscall.CloseOnExec(enterAppFd)
	err := becomeKeeper(pid, allCapabilities)
	send(keeperFd, appendFrame(nil, frameFailed, []byte(cut(err.Error(), maxMessageBytes))))
	os.Exit(1)
}

// becomeKeeper returns only when something failed.
func becomeKeeper(pid string, allCapabilities bool) error {
	// Until the execution below, the application must not look into this process.
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, 0, 0); errno != 0 {
		return errno
	}
	self, err := syscall.Open("/proc/self/exe", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	group, err := cgroupOf(pid)
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := joinCgroup(group); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	// A mount namespace is entered by a thread that shares its root with no other.
	if err := syscall.Unshare(syscall.CLONE_FS); err != nil {
		return err
	}
	if err := setns(enterAppFd, sharedSpaces); err != nil {
		return fmt.Errorf("namespaces: %w", err)
	}
	root, err := lookUpUser("")
	if err != nil {
		return err
	}
	if err := dropPrivileges(root, allCapabilities); err != nil {
		return err
	}
	path := fmt.Sprintf("/proc/self/fd/%d", self)
	return fmt.Errorf("keeper: %w", syscall.Exec(path, []string{keeperName}, []string{"GOMAXPROCS=1", "HOME=" + root.home}))
}

// cgroupOf finds the group that the application's main process is in now: with all capabilities it may have moved.
func cgroupOf(pid string) (string, error) {
	text, err := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil {
		return "", err
	}
	_, path, _ := strings.Cut(strings.TrimSpace(string(text)), "::")
	if !strings.HasPrefix(cgroupRoot+path, appCgroup) {
		return "", fmt.Errorf("the application is in %q", path)
	}
	return cgroupRoot + path, nil
}

// launch WORD=VALUE... -- COMMAND ARG...
//
// Becomes COMMAND inside a jail: a network namespace with its tap open as descriptor 9, a root of its own with only the named
// files, limits, a user without any right. Node can do none of this. The process id and the inherited descriptors stay.
// The words are in plan.go. Every step that fails ends the launcher with 125 and the step's name.
package main

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
)

const sysCloseRange = 436

// check ends the launcher, which has started nothing yet, when a step failed.
func check(step string, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "launch: %s: %v\n", step, err)
		os.Exit(125)
	}
}

// call is a system call on this thread, the only one that outlives exec.
func call(number, a, b, c uintptr) error {
	if _, _, errno := syscall.RawSyscall(number, a, b, c); errno != 0 {
		return errno
	}
	return nil
}

func main() {
	// Namespaces, capabilities and filters are set for one thread; exec keeps those of the thread that calls it.
	runtime.LockOSThread()
	plan, command := readPlan(os.Args[1:])
	check("close other descriptors", call(sysCloseRange, uintptr(plan.keepBelow), ^uintptr(0)>>32, 0))
	if plan.netns != "" {
		enterNetwork(plan.netns)
	}
	if plan.tap != "" {
		openTap(plan.tap)
	}
	// When the host runs out of memory, a VM goes before the server does.
	check("raise oom_score_adj", writeFile("/proc/self/oom_score_adj", "500"))
	enterRoot(plan)
	setLimits(plan)
	dropRights(plan)
	filterSystemCalls()
	check("start "+command[0], syscall.Exec(command[0], command, os.Environ()))
}

func writeFile(path, text string) error {
	fd, err := syscall.Open(path, syscall.O_WRONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	_, err = syscall.Write(fd, []byte(text))
	return err
}

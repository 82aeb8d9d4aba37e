// The launcher: the agent's binary in the application's new namespaces. It builds the root the application
// sees, gives up what a container has not, and executes the application in its own place.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"strings"
	"syscall"
)

const (
	planFd, errorFd = 3, 4
	defaultPath     = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	openFilesSoft   = 1024
	openFilesHard   = 1048576
)

func launch() {
	// Capabilities and ids belong to a thread; the one that gives them up is the one that executes.
	runtime.LockOSThread()
	syscall.CloseOnExec(planFd)
	syscall.CloseOnExec(errorFd)
	err := becomeApplication()
	fmt.Fprint(os.NewFile(errorFd, "error"), err)
	os.Exit(127)
}

// becomeApplication returns only when something failed.
func becomeApplication() error {
	plan, err := readPlan(planFd)
	if err != nil {
		return err
	}
	if err := enterCgroup(plan.AllCapabilities); err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	if err := prepareModules(plan.AllCapabilities); err != nil {
		return fmt.Errorf("modules: %w", err)
	}
	if err := enterRoot(plan.AllCapabilities); err != nil {
		return err
	}
	account, err := lookUpUser(plan.User)
	if err != nil {
		return err
	}
	directory, err := enterDirectory(plan.WorkingDirectory)
	if err != nil {
		return fmt.Errorf("working directory %s: %w", directory, err)
	}
	// Programs reopen /dev/stdout; the pipe has to be theirs.
	syscall.Fchown(1, account.uid, account.gid)
	if err := dropPrivileges(account, plan.AllCapabilities); err != nil {
		return err
	}
	return execute(plan.Argv, environment(plan.Environment, account.home))
}

// readPlan also closes the descriptor.
func readPlan(fd uintptr) (plan launchPlan, err error) {
	file := os.NewFile(fd, "plan")
	defer file.Close()
	if err = json.NewDecoder(io.LimitReader(file, 2*maxLineBytes)).Decode(&plan); err != nil {
		err = fmt.Errorf("plan: %w", err)
	}
	return plan, err
}

func enterDirectory(directory string) (string, error) {
	if directory == "" {
		directory = "/"
	}
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return directory, err
	}
	return directory, syscall.Chdir(directory)
}

func dropPrivileges(account account, allCapabilities bool) error {
	if err := limitOpenFiles(); err != nil {
		return err
	}
	if !allCapabilities {
		if err := boundCapabilities(); err != nil {
			return fmt.Errorf("capabilities: %w", err)
		}
	}
	if err := account.assume(); err != nil {
		return fmt.Errorf("user: %w", err)
	}
	return nil
}

// limitOpenFiles comes right before an execution: Go's runtime raises the soft limit when a program starts, and leaves it so.
func limitOpenFiles() error {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	if err == nil {
		limit.Cur = openFilesSoft
		err = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
	if err != nil {
		return fmt.Errorf("open files: %w", err)
	}
	return nil
}

func environment(given map[string]string, home string) []string {
	list := make([]string, 0, len(given)+2)
	for name, value := range given {
		list = append(list, name+"="+value)
	}
	if _, ok := given["HOME"]; !ok {
		list = append(list, "HOME="+home)
	}
	if _, ok := given["PATH"]; !ok {
		list = append(list, "PATH="+defaultPath)
	}
	sort.Strings(list)
	return list
}

// candidates lists where execvp would look for a program.
func candidates(name string, environment []string) []string {
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var paths []string
	for _, entry := range environment {
		if !strings.HasPrefix(entry, "PATH=") {
			continue
		}
		for _, directory := range strings.Split(entry[len("PATH="):], ":") {
			if directory == "" {
				directory = "."
			}
			paths = append(paths, directory+"/"+name)
		}
	}
	return paths
}

// execute does what execvp does, with the PATH the application gets.
func execute(argv, environment []string) error {
	name := argv[0]
	if strings.Contains(name, "/") {
		return fmt.Errorf("cannot execute %s: %w", name, syscall.Exec(name, argv, environment))
	}
	var denied error
	for _, path := range candidates(name, environment) {
		err := syscall.Exec(path, argv, environment)
		if err != syscall.ENOENT && err != syscall.ENOTDIR && denied == nil {
			denied = fmt.Errorf("cannot execute %s: %w", path, err)
		}
	}
	if denied != nil {
		return denied
	}
	return fmt.Errorf("cannot execute %s: not found in PATH", name)
}

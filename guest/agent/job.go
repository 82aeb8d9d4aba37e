// One shell or command: a session of its own, from its start to the last of its processes.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// Between SIGHUP and SIGKILL.
	hangUpGrace  = 2 * time.Second
	killDeadline = 5 * time.Second
	sessionLook  = 20 * time.Millisecond
	shellPrompt  = "PS1=λ $ "
	// Start-up files of distributions set a prompt too; this is carried out once, after them.
	bashPrompt    = `PROMPT_COMMAND=PS1="λ $ "; unset PROMPT_COMMAND`
	notFound      = 127
	notExecutable = 126
)

// order is what to run; without words, a shell.
type order struct {
	argv     []string
	plan     launchPlan
	terminal bool
}

// refusedProgram is a command that cannot be executed, with the exit code that shells give.
type refusedProgram struct {
	what     string
	exitCode byte
}

func (r *refusedProgram) Error() string { return r.what }

type job struct {
	pid   int
	last  syscall.WaitStatus
	ended chan struct{} // closed when its main process has ended
}

// startJob starts it with `ends` as its descriptors 0, 1 and 2.
func startJob(o order, ends []*os.File) (*job, error) {
	environment := o.environment()
	argv, paths, err := o.programs(environment)
	if err != nil {
		return nil, err
	}
	attributes := &syscall.ProcAttr{
		Dir:   o.plan.WorkingDirectory,
		Env:   environment,
		Files: []uintptr{ends[0].Fd(), ends[1].Fd(), ends[2].Fd()},
		Sys:   &syscall.SysProcAttr{Setsid: true, Setctty: o.terminal},
	}
	if about, err := os.Stat(attributes.Dir); err != nil || !about.IsDir() {
		attributes.Dir = "/"
	}
	if err := limitOpenFiles(); err != nil {
		return nil, err
	}
	refusal := &refusedProgram{argv[0] + ": not found", notFound}
	for _, path := range paths {
		pid, err := syscall.ForkExec(path, argv, attributes)
		if err == nil {
			j := &job{pid: pid, ended: make(chan struct{})}
			go j.reap()
			return j, nil
		}
		if err != syscall.ENOENT && err != syscall.ENOTDIR {
			refusal = &refusedProgram{fmt.Sprintf("%s: %v", path, err), notExecutable}
		}
	}
	return nil, refusal
}

// programs returns the command and where it may be.
func (o order) programs(environment []string) (argv, paths []string, err error) {
	if len(o.argv) > 0 {
		return o.argv, candidates(o.argv[0], environment), nil
	}
	for _, path := range []string{"/bin/bash", "/bin/sh"} {
		if about, err := os.Stat(path); err == nil && about.Mode()&0o111 != 0 {
			return []string{path[len("/bin/"):]}, []string{path}, nil
		}
	}
	return nil, nil, fmt.Errorf("the image has no shell: neither /bin/bash nor /bin/sh is there")
}

// environment is the application's, for root; a terminal adds its kind, and letters that are no ASCII.
func (o order) environment() []string {
	list := environment(o.plan.Environment, os.Getenv("HOME"))
	if !o.terminal {
		return list
	}
	has := func(name string) bool { _, ok := o.plan.Environment[name]; return ok }
	if !has("TERM") {
		list = append(list, "TERM=xterm")
	}
	if !has("PS1") {
		list = append(list, shellPrompt, bashPrompt)
	}
	if !has("LANG") && !has("LC_ALL") && !has("LC_CTYPE") {
		list = append(list, "LC_CTYPE=C.UTF-8")
	}
	return list
}

// reap waits for all that become children of the keeper, for as long as there are any.
func (j *job) reap() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.ECHILD {
			return
		}
		if pid == j.pid {
			j.last = status
			close(j.ended)
		}
	}
}

// collectEnded waits for those that are over and that `reap` has not come to: the end of the keeper would leave them to the application.
func collectEnded() {
	for {
		var status syscall.WaitStatus
		if pid, _ := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); pid <= 0 {
			return
		}
	}
}

// status is the payload of an exit frame.
func (j *job) status() []byte {
	if j.last.Signaled() {
		return []byte{1, byte(j.last.Signal())}
	}
	return []byte{0, byte(j.last.ExitStatus())}
}

// hangUp ends everything in the session; what left it for a session of its own (tmux, setsid) lives on.
func (j *job) hangUp() {
	syscall.Kill(-j.pid, syscall.SIGHUP)
	syscall.Kill(-j.pid, syscall.SIGCONT)
	began := time.Now()
	// One look is not enough: a process may fork behind it and end before it is looked at itself.
	for empty := 0; empty < 2; {
		members := sessionMembers(j.pid)
		passed := time.Since(began)
		if passed > hangUpGrace+killDeadline {
			return
		}
		if len(members) == 0 {
			empty++
		} else {
			empty = 0
		}
		if passed > hangUpGrace {
			for _, pid := range members {
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		time.Sleep(sessionLook)
	}
}

// sessionMembers lists the processes of a session that are not over.
func sessionMembers(session int) []int {
	names, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var members []int
	for _, entry := range names {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			continue
		}
		// The name may hold anything, parentheses too. Behind it: state, parent, group, session.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) > 3 && fields[0] != "Z" && fields[0] != "X" && fields[3] == strconv.Itoa(session) {
			members = append(members, pid)
		}
	}
	return members
}

// `start`: runs the application as a container would, in a process and mount namespace of its own.
package main

import (
	"encoding/json"
	"io"
	"os"
	"syscall"
	"time"
)

const startDeadline = 30 * time.Second

// launchPlan is what the launcher is told, through a pipe.
type launchPlan struct {
	Argv             []string          `json:"argv"`
	Environment      map[string]string `json:"environment"`
	WorkingDirectory string            `json:"workingDirectory"`
	User             string            `json:"user"`
	AllCapabilities  bool              `json:"allCapabilities"`
}

// start is answered before anything else is served: until the application runs there is nothing else to do.
func (m *machine) start(asked *question) *callError {
	if m.rootErr != nil {
		return failed("%v", m.rootErr)
	}
	if m.started {
		return failed("the application was started already")
	}
	if len(asked.Argv) == 0 || asked.Argv[0] == "" {
		return invalid("argv is empty")
	}
	if asked.Hostname != "" {
		if !validHostname(asked.Hostname) {
			return invalid("hostname %q is not a host name", asked.Hostname)
		}
		if err := m.identity.setHostname(asked.Hostname); err != nil {
			return failed("hostname: %v", err)
		}
	}
	if m.log == nil {
		m.log = newLogShipper(m.loop)
	}
	plan := launchPlan{asked.Argv, asked.Environment, asked.WorkingDirectory, asked.User, asked.AllCapabilities}
	pid, failure := m.spawnLauncher(plan)
	if failure != nil {
		return failure
	}
	m.started = true
	watch, err := watchExit(m.loop, pid, m.applicationEnded)
	if err != nil {
		return failed("watching the application: %v", err)
	}
	if err := m.relay.shells.applicationStarted(watch, plan); err != nil {
		return failed("shells: %v", err)
	}
	return nil
}

// pipes are the launcher's descriptors: 0 nothing, 1 and 2 the log, 3 the plan, 4 the place for an error.
type pipes struct {
	nothing, logWrite, planRead, planWrite, errorRead, errorWrite *os.File
	logRead                                                       int
}

func makePipes() (*pipes, error) {
	p := &pipes{logRead: -1}
	var log [2]int
	if err := syscall.Pipe2(log[:], syscall.O_CLOEXEC); err != nil {
		return p, err
	}
	p.logRead, p.logWrite = log[0], os.NewFile(uintptr(log[1]), "log")
	// Of this end only: the application's end blocks, as programs expect.
	if err := syscall.SetNonblock(p.logRead, true); err != nil {
		return p, err
	}
	var err error
	if p.nothing, err = os.Open("/dev/null"); err != nil {
		return p, err
	}
	if p.planRead, p.planWrite, err = os.Pipe(); err != nil {
		return p, err
	}
	p.errorRead, p.errorWrite, err = os.Pipe()
	return p, err
}

func closeAll(files ...*os.File) {
	for _, file := range files {
		if file != nil {
			file.Close()
		}
	}
}

func (m *machine) spawnLauncher(plan launchPlan) (int, *callError) {
	p, err := makePipes()
	defer func() { closeAll(p.nothing, p.logWrite, p.planRead, p.planWrite, p.errorRead, p.errorWrite) }()
	pid := 0
	if err == nil {
		pid, err = syscall.ForkExec("/proc/self/exe", []string{launcherName}, &syscall.ProcAttr{
			Dir:   "/",
			Env:   []string{"GOGC=off"},
			Files: []uintptr{p.nothing.Fd(), p.logWrite.Fd(), p.logWrite.Fd(), p.planRead.Fd(), p.errorWrite.Fd()},
			Sys:   &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS},
		})
	}
	if err != nil {
		syscall.Close(p.logRead)
		return 0, failed("launcher: %v", err)
	}
	closeAll(p.planRead, p.errorWrite, p.logWrite)
	if message := superviseLaunch(p, plan); message != "" {
		syscall.Kill(pid, syscall.SIGKILL)
		waitFor(pid)
		syscall.Close(p.logRead)
		return 0, failed("%s", message)
	}
	if err := m.log.follow(p.logRead); err != nil {
		return pid, failed("log: %v", err)
	}
	return pid, nil
}

// superviseLaunch hands over the plan and returns what went wrong; the error pipe closes by itself on exec.
func superviseLaunch(p *pipes, plan launchPlan) string {
	end := time.Now().Add(startDeadline)
	p.planWrite.SetWriteDeadline(end)
	p.errorRead.SetReadDeadline(end)
	if err := json.NewEncoder(p.planWrite).Encode(plan); err != nil {
		return "the launcher did not take its plan: " + err.Error()
	}
	p.planWrite.Close()
	message, err := io.ReadAll(io.LimitReader(p.errorRead, 4096))
	if err != nil {
		return "the application was not executed: " + err.Error()
	}
	return string(message)
}

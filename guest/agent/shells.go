// The relay's word `shell`: a process inside the application's environment that keeps one shell or command for the host.
// The agent only moves its bytes; the frames are between that process and the host (keeper.go).
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	shellWord  = "shell"
	maxKeepers = 16

	sysSetns       = 308
	sysMemfdCreate = 319
	memfdCloexec   = 1
)

var errTooMany = errors.New("too many shells are open in this MicroVM")

// shells starts keepers. A keeper is counted until it was waited for: a guest that stops its keepers gets no more of them.
type shells struct {
	loop        *eventLoop
	application *exitWatch // nil before the start
	plan        []byte
	ownPidSpace int // -1 until the first shell
	keepers     int

	allCapabilities bool
}

func newShells(loop *eventLoop) *shells { return &shells{loop: loop, ownPidSpace: -1} }

func (s *shells) applicationStarted(watch *exitWatch, plan launchPlan) error {
	text, err := json.Marshal(plan)
	s.application, s.plan, s.allCapabilities = watch, text, plan.AllCapabilities
	return err
}

// open returns the host's end of a conversation in frames. What goes wrong later is said in a frame.
func (s *shells) open() (int, error) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer syscall.Close(pair[1])
	if err := s.start(pair[1]); err != nil {
		kind := byte(frameFailed)
		if err == errTooMany {
			kind = frameTooMany
		}
		send(pair[1], appendFrame(nil, kind, []byte(err.Error())))
	}
	return pair[0], nil
}

func (s *shells) start(conversation int) error {
	if s.application == nil || s.application.over {
		return errors.New("no application runs in this MicroVM")
	}
	if s.keepers == maxKeepers {
		return errTooMany
	}
	nothing, err := syscall.Open("/dev/null", syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(nothing)
	plan, err := inMemory(s.plan)
	if err != nil {
		return err
	}
	defer syscall.Close(plan)
	none := uintptr(nothing)
	pid, err := s.fork(&syscall.ProcAttr{
		Dir:   "/",
		Env:   []string{"GOMAXPROCS=1"},
		Files: []uintptr{none, none, none, uintptr(conversation), uintptr(plan), uintptr(s.application.fd)},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return err
	}
	s.keepers++
	_, err = watchExit(s.loop, pid, func(syscall.WaitStatus) { s.keepers-- })
	return err
}

// fork makes a child of ours that is born in the application's process namespace.
func (s *shells) fork(attributes *syscall.ProcAttr) (int, error) {
	if s.ownPidSpace < 0 {
		fd, err := syscall.Open("/proc/self/ns/pid", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		s.ownPidSpace = fd
	}
	// The namespace of future children belongs to a thread; a locked one never makes threads itself, which it could not then.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := setns(s.application.fd, syscall.CLONE_NEWPID); err != nil {
		return 0, err
	}
	argv := []string{enterName, strconv.Itoa(s.application.pid), strconv.FormatBool(s.allCapabilities)}
	pid, err := syscall.ForkExec("/proc/self/exe", argv, attributes)
	if back := setns(s.ownPidSpace, syscall.CLONE_NEWPID); back != nil {
		complain("process namespace", back)
	}
	return pid, err
}

func setns(fd int, spaces uintptr) error {
	if _, _, errno := syscall.RawSyscall(sysSetns, uintptr(fd), spaces, 0); errno != 0 {
		return errno
	}
	return nil
}

// inMemory makes a file that is read from its beginning: a pipe might not take all of it at once.
func inMemory(text []byte) (int, error) {
	name := [...]byte{'p', 'l', 'a', 'n', 0}
	raw, _, errno := syscall.RawSyscall(sysMemfdCreate, uintptr(unsafe.Pointer(&name)), memfdCloexec, 0)
	if errno != 0 {
		return -1, errno
	}
	fd := int(raw)
	if n, err := syscall.Pwrite(fd, text, 0); err != nil || n != len(text) {
		syscall.Close(fd)
		return -1, fmt.Errorf("plan: %d of %d bytes written: %w", n, len(text), err)
	}
	return fd, nil
}

// Notices when a child ends; says so when it was the application's main process.
package main

import (
	"strconv"
	"syscall"
)

const sysPidfdOpen = 434

// exitWatch waits on a process descriptor: no signal, no thread of its own.
type exitWatch struct {
	loop    *eventLoop
	pid, fd int
	over    bool
	ended   func(syscall.WaitStatus)
}

// watchExit calls back once, when the child was waited for.
func watchExit(loop *eventLoop, pid int, ended func(syscall.WaitStatus)) (*exitWatch, error) {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if errno != 0 {
		return nil, errno
	}
	syscall.CloseOnExec(int(fd))
	w := &exitWatch{loop: loop, pid: pid, fd: int(fd), ended: ended}
	return w, loop.watch(w.fd, syscall.EPOLLIN|edge, w)
}

func (w *exitWatch) ready(int, uint32) {
	status := waitFor(w.pid)
	w.loop.close(w.fd)
	w.over = true
	w.ended(status)
}

func (m *machine) applicationEnded(status syscall.WaitStatus) {
	m.log.ship()
	m.control.out.setEvent(exitEvent(status))
}

func exitEvent(status syscall.WaitStatus) []byte {
	line := []byte(`{"event":"exited",`)
	if status.Signaled() {
		line = appendQuoted(append(line, `"signal":`...), status.Signal().String())
	} else {
		line = strconv.AppendInt(append(line, `"exitCode":`...), int64(status.ExitStatus()), 10)
	}
	return append(line, "}\n"...)
}

func waitFor(pid int) syscall.WaitStatus {
	for {
		var status syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
			return status
		}
	}
}

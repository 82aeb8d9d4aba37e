// Notices when the application's main process ends, and says so.
package main

import (
	"strconv"
	"syscall"
)

const sysPidfdOpen = 434

// exitWatch waits on a process descriptor: no signal, no thread of its own.
type exitWatch struct {
	machine *machine
	pid, fd int
}

func watchExit(m *machine, pid int) error {
	fd, _, errno := syscall.Syscall(sysPidfdOpen, uintptr(pid), 0, 0)
	if errno != 0 {
		return errno
	}
	syscall.CloseOnExec(int(fd))
	return m.loop.watch(int(fd), syscall.EPOLLIN|edge, &exitWatch{m, pid, int(fd)})
}

func (w *exitWatch) ready(int, uint32) {
	status := waitFor(w.pid)
	w.machine.loop.close(w.fd)
	w.machine.log.ship()
	w.machine.control.out.setEvent(exitEvent(status))
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

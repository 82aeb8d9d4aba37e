// Ships the application's output to the host. Whoever writes is never held up: with nobody reading, it is dropped.
package main

import (
	"syscall"
	"time"
)

const (
	logChunkBytes = 16 << 10
	logPatience   = 50 * time.Millisecond
)

// logShipper reads a pipe and writes the log port. While the port is full it reads nothing, up to its patience.
type logShipper struct {
	loop    *eventLoop
	port    int // -1 when the VM has none
	pipe    int // -1 when no application runs
	absent  bool
	buffer  []byte
	waiting []byte
	alarm   alarm
}

func newLogShipper(loop *eventLoop) *logShipper {
	s := &logShipper{loop: loop, port: -1, pipe: -1, buffer: make([]byte, logChunkBytes)}
	s.alarm.fire = s.giveUp
	port, err := openPort("waterbear.log", time.Second)
	if err == nil {
		s.port = port
		err = loop.watch(port, syscall.EPOLLOUT|edge, s)
	}
	if err != nil {
		complain("log port", err)
	}
	return s
}

// follow ships a new application's output; the pipe's read end must not block.
func (s *logShipper) follow(pipe int) error {
	s.pipe = pipe
	return s.loop.watch(pipe, syscall.EPOLLIN|edge, s)
}

func (s *logShipper) ready(fd int, events uint32) {
	if fd == s.port {
		s.absent = events&syscall.EPOLLHUP != 0
	}
	s.ship()
}

func (s *logShipper) ship() {
	for s.flush() && s.pipe >= 0 {
		n, err := tryRead(s.pipe, s.buffer)
		if err != nil {
			return
		}
		if n == 0 {
			s.loop.close(s.pipe)
			s.pipe = -1
			return
		}
		s.waiting = s.buffer[:n]
	}
}

// flush reports whether the buffer is free again.
func (s *logShipper) flush() bool {
	for len(s.waiting) > 0 && s.port >= 0 && !s.absent {
		n, err := tryWrite(s.port, s.waiting)
		if err == syscall.EAGAIN {
			if !s.alarm.set {
				s.loop.startAlarm(&s.alarm, logPatience)
			}
			return false
		}
		if err != nil && err != syscall.EINTR {
			break
		}
		s.waiting = s.waiting[n:]
	}
	s.waiting = nil
	s.loop.stopAlarm(&s.alarm)
	return true
}

// giveUp drops what the host did not take in time.
func (s *logShipper) giveUp() {
	s.waiting = nil
	s.ship()
}

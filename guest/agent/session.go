// One relayed connection: learns what is wanted (a port on loopback, or a shell), opens that, then moves bytes both ways.
package main

import (
	"bytes"
	"syscall"
	"time"
)

const (
	greetDeadline = 10 * time.Second
	dialDeadline  = 10 * time.Second
	farewell      = time.Second
	maxPortBytes  = 8
)

type sessionState int

const (
	greeting sessionState = iota
	dialling
	moving
	refusing
	over
)

type session struct {
	relay           *relay
	state           sessionState
	host, inner     int
	toInner, toHost flow
	alarm           alarm
	greeted         [maxPortBytes]byte
	greetedBytes    int
	resume          func()
	queued          bool
	place           int // in the relay's list
}

func (s *session) begin(host int) {
	s.state, s.host, s.inner, s.greetedBytes = greeting, host, -1, 0
	s.toInner.clear()
	s.toHost.clear()
	s.toHost.quickAck = true
	s.relay.loop.startAlarm(&s.alarm, greetDeadline)
}

func (s *session) ready(fd int, events uint32) {
	hangUp := events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0
	if fd == s.host {
		s.toInner.mark(events&readable != 0, hangUp, false)
		s.toHost.mark(false, false, events&writable != 0)
	} else {
		s.toHost.mark(events&readable != 0, hangUp, false)
		s.toInner.mark(false, false, events&writable != 0)
	}
	switch s.state {
	case greeting:
		s.greet()
	case dialling:
		if fd == s.inner && events&writable != 0 {
			s.answer()
		}
	case moving:
		s.move()
	case refusing:
		s.drain()
	}
}

// greet reads `8080\n` or `shell\n`; what follows it already belongs to the other side.
func (s *session) greet() {
	buffer := s.relay.buffer
	n, err := receive(s.host, buffer)
	if err != nil && wouldBlock(err) {
		return
	}
	if err != nil || n == 0 {
		s.reset()
		return
	}
	have := copy(s.greeted[s.greetedBytes:], buffer[:n])
	end := bytes.IndexByte(s.greeted[:s.greetedBytes+have], '\n')
	if end < 0 {
		if s.greetedBytes += have; s.greetedBytes == maxPortBytes {
			s.reset()
		}
		return
	}
	rest := buffer[end+1-s.greetedBytes : n]
	if string(s.greeted[:end]) == shellWord {
		s.toInner.hold(rest)
		s.open(s.relay.shells.open)
	} else if port, ok := parsePort(s.greeted[:end]); ok {
		s.toInner.hold(rest)
		s.open(func() (int, error) { return dialLoopback(port) })
	} else {
		s.reset()
	}
}

func parsePort(digits []byte) (int, bool) {
	port := 0
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		port = port*10 + int(c-'0')
	}
	return port, port >= 1 && port <= 65535
}

func (s *session) open(inside func() (int, error)) {
	s.state = dialling
	s.relay.loop.startAlarm(&s.alarm, dialDeadline)
	inner, err := inside()
	if err != nil {
		s.refuse()
		return
	}
	s.inner = inner
	if err := s.relay.loop.watch(inner, allEvents, s); err != nil {
		s.refuse()
	}
}

func (s *session) answer() {
	if connected(s.inner) != nil {
		s.refuse()
		return
	}
	s.relay.loop.stopAlarm(&s.alarm)
	if n, err := send(s.host, []byte{'+'}); n != 1 || err != nil {
		s.reset()
		return
	}
	s.state = moving
	s.move()
}

// refuse waits for the host to close: a close with unread bytes would reset, and the host might not see the answer.
func (s *session) refuse() {
	s.state = refusing
	s.relay.loop.startAlarm(&s.alarm, farewell)
	send(s.host, []byte{'-'})
	syscall.Shutdown(s.host, syscall.SHUT_WR)
	s.drain()
}

func (s *session) drain() {
	for {
		n, err := receive(s.host, s.relay.buffer)
		if err != nil && wouldBlock(err) {
			return
		}
		if err != nil || n == 0 {
			s.end()
			return
		}
	}
}

func (s *session) move() {
	s.queued = false
	if s.state != moving {
		return
	}
	firstBusy, firstErr := s.toInner.pump(s.host, s.inner, s.relay.buffer)
	secondBusy, secondErr := s.toHost.pump(s.inner, s.host, s.relay.buffer)
	if firstErr != nil || secondErr != nil {
		s.reset()
	} else if s.toInner.closed && s.toHost.closed {
		s.end()
	} else if (firstBusy || secondBusy) && !s.queued {
		s.queued = true
		s.relay.loop.again = append(s.relay.loop.again, s.resume)
	}
}

func (s *session) reset() {
	if s.state == over {
		return
	}
	resetOnClose(s.host)
	if s.inner >= 0 {
		resetOnClose(s.inner)
	}
	s.end()
}

func (s *session) end() {
	if s.state == over {
		return
	}
	s.state = over
	s.relay.loop.stopAlarm(&s.alarm)
	s.relay.loop.close(s.host)
	if s.inner >= 0 {
		s.relay.loop.close(s.inner)
	}
	s.relay.forget(s)
	// A session waiting for its turn must not be handed out meanwhile.
	if !s.queued {
		s.relay.unused = append(s.relay.unused, s)
	}
}

// The relay's door: accepts the host side's connections on the guest address, and closes them for a snapshot.
package main

import "syscall"

const maxSessions = 1024

type relay struct {
	loop     *eventLoop
	shells   *shells
	listener int
	paused   bool
	sessions []*session
	unused   []*session
	buffer   []byte // one for all: nothing stays in it between two events
}

func newRelay(loop *eventLoop) *relay {
	return &relay{loop: loop, shells: newShells(loop), listener: -1, sessions: make([]*session, 0, 64), buffer: make([]byte, 64<<10)}
}

func (r *relay) listen() error {
	fd, err := listenOn(guestAddress, relayPort)
	if err != nil {
		return err
	}
	r.listener = fd
	return r.loop.watch(fd, syscall.EPOLLIN, r)
}

// ready takes one connection at a time; the listener is watched by level.
func (r *relay) ready(int, uint32) {
	fd, peer, err := accept(r.listener)
	if err != nil {
		return
	}
	if r.paused || peer != gatewayAddress || len(r.sessions) >= maxSessions {
		resetOnClose(fd)
		syscall.Close(fd)
		return
	}
	s := r.newSession(fd)
	s.place = len(r.sessions)
	r.sessions = append(r.sessions, s)
	if err := r.loop.watch(fd, allEvents, s); err != nil {
		s.reset()
	}
}

func (r *relay) newSession(host int) *session {
	if last := len(r.unused) - 1; last >= 0 {
		s := r.unused[last]
		r.unused = r.unused[:last]
		s.begin(host)
		return s
	}
	s := &session{relay: r}
	s.alarm.fire = s.reset
	s.resume = func() { s.move() }
	s.begin(host)
	return s
}

// pause resets everything in flight and refuses what comes, until resume.
func (r *relay) pause() {
	r.paused = true
	for len(r.sessions) > 0 {
		r.sessions[len(r.sessions)-1].reset()
	}
}

func (r *relay) forget(s *session) {
	last := len(r.sessions) - 1
	r.sessions[s.place] = r.sessions[last]
	r.sessions[s.place].place = s.place
	r.sessions[last] = nil
	r.sessions = r.sessions[:last]
}

func (r *relay) resume() { r.paused = false }

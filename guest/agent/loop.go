// One thread waits for everything: a single epoll with edges, in place of the runtime's poller and goroutines.
// A restored VM runs on cold caches (under emulation, on code not yet translated), so each line that runs between
// a restore and the first answer is paid for; and what an idle agent does not write, no sleeping VM has to keep.
package main

import (
	"syscall"
	"time"
)

const (
	edge      = 1 << 31 // EPOLLET
	readable  = syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	writable  = syscall.EPOLLOUT | syscall.EPOLLHUP | syscall.EPOLLERR
	allEvents = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edge
)

// watcher is told what became possible on a descriptor.
type watcher interface {
	ready(fd int, events uint32)
}

// alarm fires once, unless it is stopped before.
type alarm struct {
	at   time.Duration
	fire func()
	set  bool
}

type slot struct {
	watcher watcher
	mark    int32 // tells an event of this descriptor from one of its predecessor with the same number
}

type eventLoop struct {
	epoll  int
	slots  []slot
	alarms []*alarm
	again  []func() // work that gave way to others
	events [64]syscall.EpollEvent
}

var began = time.Now()

func now() time.Duration { return time.Since(began) }

func newEventLoop() (*eventLoop, error) {
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return &eventLoop{epoll: epoll, slots: make([]slot, 256), alarms: make([]*alarm, 0, 64), again: make([]func(), 0, 64)}, nil
}

func (l *eventLoop) watch(fd int, events uint32, w watcher) error {
	for fd >= len(l.slots) {
		l.slots = append(l.slots, make([]slot, len(l.slots))...)
	}
	at := &l.slots[fd]
	at.watcher = w
	at.mark++
	event := syscall.EpollEvent{Events: events, Fd: int32(fd), Pad: at.mark}
	return syscall.EpollCtl(l.epoll, syscall.EPOLL_CTL_ADD, fd, &event)
}

// close also ends the watch: the kernel forgets a descriptor with its last reference.
func (l *eventLoop) close(fd int) {
	if fd < len(l.slots) {
		l.slots[fd].watcher = nil
		l.slots[fd].mark++
	}
	syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
}

func (l *eventLoop) startAlarm(a *alarm, after time.Duration) {
	a.at = now() + after
	if !a.set {
		a.set = true
		l.alarms = append(l.alarms, a)
	}
}

func (l *eventLoop) stopAlarm(a *alarm) {
	if !a.set {
		return
	}
	a.set = false
	for i, other := range l.alarms {
		if other == a {
			last := len(l.alarms) - 1
			l.alarms[i], l.alarms[last] = l.alarms[last], nil
			l.alarms = l.alarms[:last]
			return
		}
	}
}

// run never ends.
func (l *eventLoop) run() {
	for {
		n, err := syscall.EpollWait(l.epoll, l.events[:], l.patience())
		if err != nil && err != syscall.EINTR {
			complain("epoll", err)
			time.Sleep(50 * time.Millisecond)
		}
		for i := 0; i < n; i++ {
			event := &l.events[i]
			if at := l.slots[event.Fd]; at.watcher != nil && at.mark == event.Pad {
				at.watcher.ready(int(event.Fd), event.Events)
			}
		}
		l.ring()
		for count := len(l.again); count > 0; count-- {
			work := l.again[0]
			l.again = append(l.again[:0], l.again[1:]...)
			work()
		}
	}
}

// patience is how long to wait for an event, in milliseconds; -1 is for ever.
func (l *eventLoop) patience() int {
	if len(l.again) > 0 {
		return 0
	}
	if len(l.alarms) == 0 {
		return -1
	}
	first := l.alarms[0].at
	for _, a := range l.alarms[1:] {
		if a.at < first {
			first = a.at
		}
	}
	left := (first - now() + time.Millisecond - 1) / time.Millisecond
	if left < 0 {
		return 0
	}
	return int(left)
}

func (l *eventLoop) ring() {
	if len(l.alarms) == 0 {
		return
	}
	at := now()
	for i := 0; i < len(l.alarms); i++ {
		if a := l.alarms[i]; a.at <= at {
			l.stopAlarm(a)
			a.fire()
			i = -1 // firing may have changed the list
		}
	}
}

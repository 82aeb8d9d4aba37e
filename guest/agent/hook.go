// `hook`: one HTTP/1.1 POST to the application over loopback. Written by hand: an HTTP library costs more
// than the launch it serves, under emulation.
package main

import (
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxHookTimeoutMs = 3600_000
	maxHeadBytes     = 16 << 10
	maxDrainedBytes  = 64 << 10
	drainPatience    = time.Second
)

// hookCall is one call in flight. After its answer it stays a moment, so that the application sees no reset.
type hookCall struct {
	machine  *machine
	id       uint64
	fd       int
	standing bool
	request  []byte
	head     []byte
	answered bool
	drained  int
	alarm    alarm
}

func (m *machine) callHook(asked *question) *callError {
	if failure := checkHook(asked); failure != nil {
		return failure
	}
	fd, err := dialLoopback(asked.Port)
	if err != nil {
		return hookFailure(err)
	}
	h := &hookCall{machine: m, id: asked.ID, fd: fd, request: hookRequest(asked), head: make([]byte, 0, 1024)}
	h.alarm.fire = h.expire
	m.loop.startAlarm(&h.alarm, time.Duration(asked.TimeoutMs)*time.Millisecond)
	if err := m.loop.watch(fd, allEvents, h); err != nil {
		h.end()
		return failed("%v", err)
	}
	return nil
}

func (h *hookCall) ready(_ int, events uint32) {
	if !h.standing {
		if err := connected(h.fd); err != nil {
			h.answer(0, hookFailure(err))
			h.end()
			return
		}
		if events&writable == 0 {
			return
		}
		h.standing = true
	}
	for len(h.request) > 0 {
		n, err := send(h.fd, h.request)
		if err != nil {
			break // what the application has answered already still counts
		}
		h.request = h.request[n:]
	}
	if events&readable != 0 {
		h.read()
	}
}

func (h *hookCall) read() {
	buffer := h.machine.relay.buffer
	for {
		n, err := receive(h.fd, buffer)
		if err != nil && wouldBlock(err) {
			return
		}
		if err != nil || n == 0 {
			if err == nil {
				err = errNoAnswer
			}
			h.answer(0, hookFailure(err))
			h.end()
			return
		}
		if h.drained += n; h.drained > maxDrainedBytes {
			h.answer(0, hookFailure(errNotHTTP))
			h.end()
			return
		}
		if !h.answered {
			h.take(buffer[:n])
		}
	}
}

// take looks for the status in what has come so far.
func (h *hookCall) take(text []byte) {
	if len(h.head)+len(text) > maxHeadBytes {
		text = text[:maxHeadBytes-len(h.head)]
	}
	h.head = append(h.head, text...)
	status, done, err := readStatus(h.head)
	if err == nil && !done && len(h.head) == maxHeadBytes {
		err = errNotHTTP
	}
	if err != nil {
		h.answer(0, hookFailure(err))
	} else if done {
		h.answer(status, nil)
	}
}

// answer tells the host once, and lets the connection linger for the application's sake.
func (h *hookCall) answer(status int, failure *callError) {
	if h.answered {
		return
	}
	h.answered = true
	h.head = nil
	h.machine.loop.startAlarm(&h.alarm, drainPatience)
	h.machine.control.answer(h.id, `{"status":`+strconv.Itoa(status)+`}`, failure)
}

func (h *hookCall) expire() {
	h.answer(0, &callError{"timeout", "the hook did not answer in time"})
	h.end()
}

func (h *hookCall) end() {
	h.machine.loop.stopAlarm(&h.alarm)
	h.machine.loop.close(h.fd)
}

func checkHook(asked *question) *callError {
	if asked.Port < 1 || asked.Port > 65535 {
		return invalid("port %d is not 1–65535", asked.Port)
	}
	if asked.TimeoutMs < 1 || asked.TimeoutMs > maxHookTimeoutMs {
		return invalid("timeoutMs %d is not 1–%d", asked.TimeoutMs, maxHookTimeoutMs)
	}
	if !strings.HasPrefix(asked.Path, "/") {
		return invalid("path %q does not start with /", asked.Path)
	}
	for i := 0; i < len(asked.Path); i++ {
		if c := asked.Path[i]; c <= ' ' || c >= 0x7f {
			return invalid("path %q has a character that no request line can hold", asked.Path)
		}
	}
	return nil
}

func hookFailure(err error) *callError {
	if err == syscall.ECONNREFUSED {
		return &callError{"refused", "nothing listens on the hook port"}
	}
	return failed("%v", err)
}

// Serves the control port: reads questions, hands them to what answers them, writes the answers.
package main

import (
	"os"
	"strconv"
	"syscall"
	"time"
)

const portPatience = 30 * time.Second

type control struct {
	machine *machine
	lines   *lineReader
	out     outbox
}

func (m *machine) serveControl() error {
	fd, err := openPort("waterbear.control", portPatience)
	if err != nil {
		return err
	}
	m.control = &control{machine: m, lines: newLineReader(), out: outbox{fd: fd, waiting: make([]byte, 0, 4096)}}
	return m.loop.watch(fd, allEvents, m.control)
}

func (c *control) ready(fd int, events uint32) {
	if events&syscall.EPOLLHUP != 0 {
		c.lines.forget()
		c.out.hostGone()
	}
	if events&syscall.EPOLLOUT != 0 && (len(c.out.waiting) > 0 || c.out.event != nil) {
		c.out.flush()
	}
	for {
		// A read returns at most one of the driver's buffers: only an empty one means that there is no more.
		n, err := tryRead(fd, c.lines.room())
		if n == 0 || err != nil {
			return
		}
		c.lines.filled(n)
		c.serveLines()
	}
}

func (c *control) serveLines() {
	for {
		line, long, ok := c.lines.next()
		if !ok {
			break
		}
		if long {
			c.answer(0, "", invalid("a line is longer than %d bytes", maxLineBytes))
		} else if len(line) > 0 {
			c.serve(line)
		}
	}
	c.lines.shrink()
}

func (c *control) serve(line []byte) {
	asked, failure := parseQuestion(line)
	if failure != nil {
		c.answer(asked.ID, "", failure)
		return
	}
	if asked.Call == "hook" {
		if failure := c.machine.callHook(asked); failure != nil {
			c.answer(asked.ID, "", failure)
		}
		return
	}
	ok, failure := c.machine.answer(asked)
	c.answer(asked.ID, ok, failure)
	if asked.Call == "hello" {
		c.out.tellAgain()
	}
}

func (m *machine) answer(asked *question) (string, *callError) {
	switch asked.Call {
	case "freshen":
		return m.freshen(asked)
	case "quiesce":
		return "{}", m.quiesce()
	case "thaw":
		return "{}", m.goOn(asked)
	case "listening":
		return listening(asked.Port)
	case "start":
		return "{}", m.start(asked)
	case "hello":
		return hello()
	}
	return "", invalid("unknown call %q", asked.Call)
}

func hello() (string, *callError) {
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", failed("kernel release: %v", err)
	}
	text := appendQuoted([]byte(`{"agent":"`+agentVersion+`","kernel":`), string(release[:len(release)-1]))
	text = strconv.AppendInt(append(text, `,"elapsedMs":`...), now().Milliseconds(), 10)
	return string(append(text, '}')), nil
}

func (c *control) answer(id uint64, ok string, failure *callError) {
	c.out.commit(appendAnswer(c.out.begin(), id, ok, failure))
}

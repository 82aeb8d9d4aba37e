package main

import (
	"strings"
	"syscall"
	"testing"
)

func newPipe(t *testing.T) (read, write int) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(ends[0]); syscall.Close(ends[1]) })
	return ends[0], ends[1]
}

func said(t *testing.T, fd int) string {
	buffer := make([]byte, 128<<10)
	n, err := syscall.Read(fd, buffer)
	if err == syscall.EAGAIN {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

func TestTheEndOfTheApplicationIsToldOnceAndAgainToTheNextHost(t *testing.T) {
	host, port := newPipe(t)
	o := outbox{fd: port}
	o.tellAgain()
	if text := said(t, host); text != "" {
		t.Fatalf("nothing has ended, yet it said %q", text)
	}
	o.setEvent([]byte("ended\n"))
	o.flush()
	o.commit(append(o.begin(), "answer\n"...))
	if text := said(t, host); text != "ended\nanswer\n" {
		t.Fatalf("got %q", text)
	}
	o.hostGone()
	o.tellAgain()
	o.flush()
	if text := said(t, host); text != "ended\n" {
		t.Fatalf("the next host heard %q", text)
	}
}

func TestAnEndThatAHostDidNotTakeWholeWaitsForTheNext(t *testing.T) {
	host, port := newPipe(t)
	o := outbox{fd: port}
	filler := strings.Repeat("x", 80<<10)
	o.commit(append(o.begin(), filler...))
	o.setEvent([]byte("ended\n"))
	said(t, host)
	o.hostGone()
	o.flush()
	if text := said(t, host); text != "\nended\n" {
		t.Fatalf("the next host heard %q", text)
	}
}

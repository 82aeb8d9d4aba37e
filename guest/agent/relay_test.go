package main

import (
	"bytes"
	"io"
	"math/rand"
	"net"
	"syscall"
	"testing"
	"time"
)

// startRelay runs a loop whose relay takes its sessions from a socket pair instead of the guest address.
func startRelay(t *testing.T) func() net.Conn {
	t.Helper()
	loop, err := newEventLoop()
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(loop)
	doors := make(chan int)
	var wake [2]int
	if err := syscall.Pipe2(wake[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	if err := loop.watch(wake[0], syscall.EPOLLIN, doorway{r, wake[0], doors}); err != nil {
		t.Fatal(err)
	}
	go loop.run() // ends with the test's process
	return func() net.Conn {
		near, far := tcpPair(t)
		syscall.Write(wake[1], []byte{1})
		doors <- far
		return near
	}
}

type doorway struct {
	relay *relay
	wake  int
	doors chan int
}

func (d doorway) ready(int, uint32) {
	var one [1]byte
	tryRead(d.wake, one[:])
	fd := <-d.doors
	s := d.relay.newSession(fd)
	s.place = len(d.relay.sessions)
	d.relay.sessions = append(d.relay.sessions, s)
	d.relay.loop.watch(fd, allEvents, s)
}

func tcpPair(t *testing.T) (net.Conn, int) {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	near, err := net.Dial("tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	file, err := far.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	far.Close()
	fd, err := syscall.Dup(int(file.Fd()))
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	syscall.SetNonblock(fd, true)
	near.SetDeadline(time.Now().Add(20 * time.Second))
	t.Cleanup(func() { near.Close() })
	return near, fd
}

// echo answers everything it gets, after it got all of it.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				all, _ := io.ReadAll(c)
				c.Write(all)
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}

func TestRelayMovesBytesAndHalfClose(t *testing.T) {
	open, port := startRelay(t), echo(t)
	for _, size := range []int{0, 1, 5 << 20} {
		payload := make([]byte, size)
		rand.Read(payload)
		c := open()
		go func() {
			c.Write(append([]byte(port+"\n"), payload...))
			c.(*net.TCPConn).CloseWrite()
		}()
		got, err := io.ReadAll(c)
		if err != nil || !bytes.Equal(got, append([]byte{'+'}, payload...)) {
			t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
}

func TestRelayRefuses(t *testing.T) {
	open := startRelay(t)
	closed, _ := net.Listen("tcp4", "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(closed.Addr().String())
	closed.Close()
	c := open()
	c.Write([]byte(port + "\nsent without waiting"))
	c.Write([]byte("and more"))
	if got, err := io.ReadAll(c); err != nil || string(got) != "-" {
		t.Fatalf("%q %v", got, err)
	}
	for _, greeting := range []string{"0\n", "65536\n", "\n", "80x\n", "123456789", "-1\n"} {
		c := open()
		c.Write([]byte(greeting))
		if got, err := io.ReadAll(c); err == nil || len(got) > 0 {
			t.Errorf("%q: %q %v", greeting, got, err)
		}
	}
}

func TestRelayGreetingInPieces(t *testing.T) {
	open, port := startRelay(t), echo(t)
	c := open()
	for _, piece := range []string{port[:1], port[1:], "\nhe", "llo"} {
		c.Write([]byte(piece))
		time.Sleep(5 * time.Millisecond)
	}
	c.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(c); err != nil || string(got) != "+hello" {
		t.Fatalf("%q %v", got, err)
	}
}

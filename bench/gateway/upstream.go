// The application of the gateway's benchmark: answers GET requests from memory, over HTTP/1.1 with kept connections.
// usage: upstream ADDRESS. `/large` is 64 MiB, every other path a few bytes. It is its own relay.
package main

import (
	"bufio"
	"bytes"
	"fmt"
	"log"
	"net"
	"os"
)

const largeBytes = 64 << 20

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	small := answer(13, []byte("hello, world\n"))
	head, piece := answer(largeBytes, nil), make([]byte, 1<<20)
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(conn, small, head, piece)
	}
}

func answer(length int, body []byte) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", length, body)
}

func serve(conn net.Conn, small, head, piece []byte) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	// As a guest's relay, when it is spoken to as one: a port, answered by a plus.
	if first, err := reader.Peek(1); err == nil && first[0] >= '0' && first[0] <= '9' {
		reader.ReadSlice('\n')
		conn.Write([]byte("+"))
	}
	for {
		line, err := reader.ReadSlice('\n')
		if err != nil {
			return
		}
		large := bytes.HasPrefix(line, []byte("GET /large "))
		for len(line) > 2 {
			if line, err = reader.ReadSlice('\n'); err != nil {
				return
			}
		}
		if !large {
			if _, err := conn.Write(small); err != nil {
				return
			}
			continue
		}
		if _, err := conn.Write(head); err != nil {
			return
		}
		for sent := 0; sent < largeBytes; sent += len(piece) {
			if _, err := conn.Write(piece); err != nil {
				return
			}
		}
	}
}

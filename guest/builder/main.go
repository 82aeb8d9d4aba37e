// The program that builds a stranger's Dockerfile inside a throw-away VM. It listens once on the VM's loopback; who connects
// first, the host, gives the order and gets log, answers and result: docs/guest-protocol.md, "Builder". Whatever the build
// does to this machine ends with it; only the bytes of two disks survive: the account's cache and the finished root disk.
package main

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"time"
)

const (
	listenAddress = "127.0.0.1:8080"
	// Processes and threads of the whole machine: a fork bomb ends its own step, not this program.
	processLimit = "8192"
	hostPatience = 2 * time.Minute
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "builder:", err)
		os.Exit(1)
	}
}

func serve() error {
	if err := os.WriteFile("/proc/sys/kernel/pid_max", []byte(processLimit), 0); err != nil {
		return err
	}
	// What runs in a build is killed for want of memory before this program is.
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		return err
	}
	if err := closeDevices(); err != nil {
		return err
	}
	host, err := acceptHost()
	if err != nil {
		return err
	}
	defer host.close()
	result := work(host)
	endEverything()
	if err := disks.release(); err != nil && result.Failed == nil {
		result = failure(stepFailure{Step: "cache", What: err.Error()})
	}
	if err := host.send(result); err != nil {
		return err
	}
	host.untilHeard()
	return nil
}

// acceptHost closes the door behind the first who comes: no step of the build runs before.
func acceptHost() (*conversation, error) {
	door, err := net.Listen("tcp", listenAddress)
	if err != nil {
		return nil, err
	}
	defer door.Close()
	door.(*net.TCPListener).SetDeadline(time.Now().Add(hostPatience))
	connection, err := door.Accept()
	if err != nil {
		return nil, err
	}
	return newConversation(connection), nil
}

// work returns the last message; it never panics over what the zip or the Dockerfile hold.
func work(host *conversation) message {
	var order order
	if err := host.receive(&order); err != nil {
		return failure(stepFailure{Step: "order", What: err.Error()})
	}
	deadline := time.AfterFunc(time.Duration(order.TimeoutMs)*time.Millisecond, passDeadline)
	defer deadline.Stop()
	result, failed := (&build{host: host, order: &order}).run()
	if failed != nil {
		failed.Late = isLate()
		return failure(*failed)
	}
	return message{Built: result}
}

// endEverything kills whatever the steps left running: this program is the first process of its namespace, so -1 is all others.
func endEverything() {
	syscall.Kill(-1, syscall.SIGKILL)
	for {
		if _, err := syscall.Wait4(-1, nil, 0, nil); err != nil && err != syscall.EINTR {
			return
		}
	}
}

// The in-VM agent: PID 1 of every microVM. See docs/guest-protocol.md.
// The same binary, run under other names, is the launcher that turns itself into the application, the keeper of a shell, and the kernel's modprobe.
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
)

const (
	agentVersion = "1"
	launcherName = "waterbear-launch"
)

func main() {
	if os.Args[0] == launcherName {
		launch()
		return
	}
	if os.Args[0] == enterName && len(os.Args) == 3 {
		enter(os.Args[1], os.Args[2] == "true")
		return
	}
	if os.Args[0] == keeperName {
		keep()
		return
	}
	if os.Args[0] == modprobeName {
		modprobe(os.Args)
		return
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "waterbear agent", agentVersion, "runs as PID 1 of a microVM only")
		os.Exit(2)
	}
	// The runtime reads its settings before main: without preemption by signals nothing disturbs a restored VM.
	if settings := "GODEBUG=asyncpreemptoff=1"; os.Getenv("GODEBUG") == "" {
		complain("exec", syscall.Exec("/init", os.Args[:1], []string{settings}))
	}
	runtime.GOMAXPROCS(1)
	// No collection by time: a sleeping VM is as large as what it wrote. The limit collects only when it must.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(24 << 20)
	runAgent()
}

// runAgent does not return: the kernel panics when PID 1 ends.
func runAgent() {
	defer func() {
		complain("agent panic", fmt.Errorf("%v\n%s", recover(), debug.Stack()))
		select {}
	}()
	m := boot()
	if err := m.serveControl(); err != nil {
		complain("control port", err)
	}
	m.loop.run()
}

// complain writes to the kernel's console, the only place left when a door does not open.
func complain(what string, err error) {
	fmt.Fprintf(os.Stderr, "waterbear: %s: %v\n", what, err)
}

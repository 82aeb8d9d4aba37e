// Runs one program of this machine: with a plain environment, a bound on file sizes, and its end told as the host wants it.
package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	maxOutputBytes = 1 << 20
	saidBytes      = 4 << 10
	outputPatience = time.Second
)

// Programs of a build may be killed for want of memory, unlike their parent. $1 is the longest file, in blocks of 512 bytes.
const shell = `echo 0 > /proc/self/oom_score_adj; ulimit -f "$1"; shift; exec "$@"`

type command struct {
	argv         []string
	environment  []string
	maxFileBytes int64
}

var late atomic.Bool

// passDeadline ends the step that runs; the steps after it fail at once.
func passDeadline() {
	late.Store(true)
	syscall.Kill(-1, syscall.SIGKILL)
}

func isLate() bool { return late.Load() }

func newCommand(name string, arguments ...string) *command {
	return &command{argv: append([]string{name}, arguments...), maxFileBytes: 1 << 40}
}

func buildah(arguments ...string) *command { return newCommand("buildah", arguments...) }

// output returns what the program printed, at most a megabyte.
func (c *command) output(step string) (string, *stepFailure) {
	out := &keepEnd{limit: maxOutputBytes}
	said := &keepEnd{limit: saidBytes}
	failed := c.run(step, said, out, said)
	return string(out.kept), failed
}

// logged mixes both outputs as the program wrote them.
func (c *command) logged(step string, log io.Writer) *stepFailure {
	said := &keepEnd{limit: saidBytes}
	return c.run(step, said, io.MultiWriter(said, log), nil)
}

// run without errorOut sends everything to out.
func (c *command) run(step string, said *keepEnd, out, errorOut io.Writer) *stepFailure {
	if isLate() {
		return &stepFailure{Step: step}
	}
	blocks := strconv.FormatInt(c.maxFileBytes/512, 10)
	process := exec.Command("/bin/sh", append([]string{"-c", shell, "step", blocks}, c.argv...)...)
	process.Dir = "/"
	process.Env = append(append(os.Environ(), buildEnvironment...), c.environment...)
	err := runWith(process, out, errorOut)
	if err == nil {
		return nil
	}
	failed := &stepFailure{Step: step, Said: string(bytes.TrimSpace(said.kept)), ExitCode: -1}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		failed.Said = err.Error()
		return failed
	}
	failed.ExitCode = exit.ExitCode()
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		failed.Signal = signalName(status.Signal())
	}
	return failed
}

// runWith reads the output itself: a process that a step left behind keeps the pipes open, and the step is over when its own program is.
func runWith(process *exec.Cmd, out, errorOut io.Writer) error {
	outPipe, err := follow(out)
	if err != nil {
		return err
	}
	defer outPipe.finish()
	process.Stdout, process.Stderr = outPipe.writer, outPipe.writer
	if errorOut != nil {
		errorPipe, err := follow(errorOut)
		if err != nil {
			return err
		}
		defer errorPipe.finish()
		process.Stderr = errorPipe.writer
	}
	return process.Run()
}

// pipe copies what is written into it until nobody can write any more, or finish has waited long enough.
type pipe struct {
	reader, writer *os.File
	copied         chan struct{}
}

func follow(to io.Writer) (*pipe, error) {
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &pipe{reader, writer, make(chan struct{})}
	go func() {
		io.Copy(to, reader)
		close(p.copied)
	}()
	return p, nil
}

func (p *pipe) finish() {
	p.writer.Close()
	p.reader.SetReadDeadline(time.Now().Add(outputPatience))
	<-p.copied
	p.reader.Close()
}

func signalName(signal syscall.Signal) string {
	if signal == syscall.SIGKILL {
		return "SIGKILL"
	}
	return signal.String()
}

// keepEnd keeps the last bytes written to it.
type keepEnd struct {
	kept  []byte
	limit int
}

func (k *keepEnd) Write(text []byte) (int, error) {
	k.kept = append(k.kept, text...)
	if over := len(k.kept) - k.limit; over > 0 {
		k.kept = append(k.kept[:0], k.kept[over:]...)
	}
	return len(text), nil
}

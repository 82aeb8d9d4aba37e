// The keeper: a process inside the application's environment that runs one shell or command for the host, moves its input and output in
// frames, and leaves nothing of it behind. It has what the application has and nothing more.
package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	keeperName       = "waterbear-shell"
	beginDeadline    = 30 * time.Second
	prSetName        = 15
	prChildSubreaper = 36
	pollHangUp       = 0x2000 // POLLRDHUP
	outputChunkBytes = 16 << 10
	// After the end of its main process: how long what else writes is waited for.
	lastWords    = 100 * time.Millisecond
	maxLastWords = 1 << 20
)

type keeper struct {
	host    *os.File
	input   *os.File // the terminal, or standard input
	outputs sync.WaitGroup
	sources []*os.File
	writing sync.Mutex
	job     *job
	ending  chan struct{} // closed when the job's main process has ended
}

// keep does not return.
func keep() {
	syscall.CloseOnExec(keeperFd)
	nameProcess(keeperName)
	k := &keeper{host: os.NewFile(keeperFd, "host"), ending: make(chan struct{})}
	if err := k.serve(); err != nil {
		k.say(frameFailed, []byte(cut(err.Error(), maxMessageBytes)))
	}
	collectEnded()
	os.Exit(0)
}

// nameProcess is for process lists: executed by a descriptor, it would be called by that one's number.
func nameProcess(name string) {
	text := append([]byte(name), 0)
	syscall.RawSyscall(syscall.SYS_PRCTL, prSetName, pointerTo(text), 0)
}

func (k *keeper) serve() error {
	plan, err := readPlan(keeperPlanFd)
	if err != nil {
		return err
	}
	// Whatever the command leaves to itself is waited for here: many applications wait for their own children only.
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prChildSubreaper, 1, 0); errno != 0 {
		return errno
	}
	buffer := make([]byte, maxFrameBytes)
	k.host.SetReadDeadline(time.Now().Add(beginDeadline))
	kind, payload, err := readFrame(k.host, buffer)
	if err != nil {
		return err
	}
	k.host.SetReadDeadline(time.Time{})
	if kind != frameTerminal && kind != framePipes {
		return fmt.Errorf("the host began with a frame %q", kind)
	}
	if err := k.begin(kind == frameTerminal, wordsIn(payload), plan); err != nil {
		return err
	}
	if k.job == nil {
		return nil
	}
	gone := make(chan struct{})
	go k.readInput(buffer)
	go watchHangUp(keeperFd, gone)
	select {
	case <-gone:
		k.closeAll()
		k.job.hangUp()
	case <-k.job.ended:
		k.finish(gone)
	}
	return nil
}

// begin starts the job; without one, why it could not be executed has been said as a shell would.
func (k *keeper) begin(terminal bool, argv []string, plan launchPlan) error {
	ends, err := k.openEnds(terminal)
	defer closeAll(ends...)
	if err != nil {
		return err
	}
	if k.job, err = startJob(order{argv, plan, terminal}, ends); err != nil {
		refusal, isRefusal := err.(*refusedProgram)
		if !isRefusal {
			return err
		}
		k.say(frameErrors, []byte(refusal.Error()+"\n"))
		k.say(frameExit, []byte{0, refusal.exitCode})
		return nil
	}
	for i, source := range k.sources {
		k.outputs.Add(1)
		go k.forward(source, [...]byte{frameOutput, frameErrors}[i])
	}
	return nil
}

// openEnds makes what the job has as descriptors 0, 1 and 2.
func (k *keeper) openEnds(terminal bool) ([]*os.File, error) {
	if terminal {
		master, slave, err := openTerminal()
		if err != nil {
			return nil, err
		}
		k.input, k.sources = master, []*os.File{master}
		return []*os.File{slave, slave, slave}, nil
	}
	var ends []*os.File
	for fd := 0; fd < 3; fd++ {
		reader, writer, err := os.Pipe()
		if err != nil {
			return ends, err
		}
		if fd == 0 {
			k.input = writer
			ends = append(ends, reader)
			continue
		}
		k.sources = append(k.sources, reader)
		ends = append(ends, writer)
	}
	return ends, nil
}

func (k *keeper) readInput(buffer []byte) {
	for {
		kind, payload, err := readFrame(k.host, buffer)
		if err != nil {
			return // watchHangUp sees the end, also while this is held up by a job that does not read
		}
		switch kind {
		case frameInput:
			k.input.Write(payload) // a job that no longer reads is its own affair
		case frameInputEnd:
			if k.input != k.sources[0] {
				k.input.Close()
			}
		case frameSize:
			if len(payload) == 4 {
				setWindowSize(k.input, binary.BigEndian.Uint16(payload), binary.BigEndian.Uint16(payload[2:]))
			}
		}
	}
}

func (k *keeper) forward(source *os.File, kind byte) {
	defer k.outputs.Done()
	buffer := make([]byte, outputChunkBytes)
	for left := maxLastWords; left > 0; {
		select {
		case <-k.ending:
			source.SetReadDeadline(time.Now().Add(lastWords))
			left -= len(buffer)
		default:
		}
		n, err := source.Read(buffer)
		if n > 0 {
			k.say(kind, buffer[:n])
		}
		if err != nil {
			return
		}
	}
}

// finish sends what was written before the end, then the end. Who else still holds the terminal or the pipes is not waited for.
func (k *keeper) finish(gone chan struct{}) {
	close(k.ending)
	sent := make(chan struct{})
	go func() {
		k.outputs.Wait()
		k.say(frameExit, k.job.status())
		close(sent)
	}()
	for _, source := range k.sources {
		source.SetReadDeadline(time.Now().Add(lastWords))
	}
	select {
	case <-sent:
	case <-gone:
	}
}

func (k *keeper) say(kind byte, payload []byte) {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.host.Write(appendFrame(make([]byte, 0, frameHeaderBytes+len(payload)), kind, payload))
}

func (k *keeper) closeAll() {
	k.input.Close()
	closeAll(k.sources...)
}

// wordsIn splits a command; every word ends with a NUL.
func wordsIn(payload []byte) []string {
	var words []string
	for start, i := 0, 0; i < len(payload); i++ {
		if payload[i] == 0 {
			words = append(words, string(payload[start:i]))
			start = i + 1
		}
	}
	return words
}

type pollEntry struct {
	fd              int32
	events, revents int16
}

// watchHangUp closes `gone` when the other side has closed or will say no more, read or unread.
func watchHangUp(fd int, gone chan struct{}) {
	entry := pollEntry{fd: int32(fd), events: pollHangUp}
	for entry.revents == 0 {
		syscall.Syscall(syscall.SYS_POLL, uintptr(unsafe.Pointer(&entry)), 1, ^uintptr(0))
	}
	close(gone)
}

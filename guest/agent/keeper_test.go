package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Args[0] == keeperName {
		keep()
	}
	os.Exit(m.Run())
}

// talk is the host's side of a keeper that runs as a process of its own, outside any VM.
type talk struct {
	t      *testing.T
	host   *os.File
	keeper *exec.Cmd
	ended  chan error
	said   map[byte][]byte
	buffer []byte
}

func startKeeper(t *testing.T, environment map[string]string) *talk {
	t.Helper()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(launchPlan{Environment: environment, WorkingDirectory: t.TempDir()})
	fd, err := inMemory(text)
	if err != nil {
		t.Fatal(err)
	}
	plan, theirs := os.NewFile(uintptr(fd), "plan"), os.NewFile(uintptr(pair[1]), "theirs")
	defer closeAll(plan, theirs)
	k := &talk{t: t, host: os.NewFile(uintptr(pair[0]), "host"), ended: make(chan error, 1), said: map[byte][]byte{}, buffer: make([]byte, maxFrameBytes)}
	k.host.SetDeadline(time.Now().Add(20 * time.Second))
	k.keeper = &exec.Cmd{Path: "/proc/self/exe", Args: []string{keeperName}, Env: []string{"HOME=/root"}, ExtraFiles: []*os.File{theirs, plan}}
	if err := k.keeper.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { k.ended <- k.keeper.Wait() }()
	t.Cleanup(func() {
		k.host.Close()
		k.wait()
	})
	return k
}

func (k *talk) say(kind byte, payload string) {
	k.t.Helper()
	if _, err := k.host.Write(appendFrame(nil, kind, []byte(payload))); err != nil {
		k.t.Fatal(err)
	}
}

// until reads frames up to the first for which enough returns true.
func (k *talk) until(enough func(kind byte, payload []byte) bool) {
	k.t.Helper()
	for {
		kind, payload, err := readFrame(k.host, k.buffer)
		if err != nil {
			k.t.Fatalf("%v; so far %q", err, k.said)
		}
		k.said[kind] = append(k.said[kind], payload...)
		if enough(kind, payload) {
			return
		}
	}
}

func (k *talk) untilText(text string) {
	k.t.Helper()
	k.until(func(byte, []byte) bool { return bytes.Contains(k.said[frameOutput], []byte(text)) })
}

func (k *talk) exit() []byte {
	k.t.Helper()
	k.until(func(kind byte, _ []byte) bool { return kind == frameExit })
	if rest, _ := io.ReadAll(k.host); len(rest) > 0 {
		k.t.Errorf("%q after the exit", rest)
	}
	return k.said[frameExit]
}

func (k *talk) wait() {
	select {
	case <-k.ended:
	case <-time.After(15 * time.Second):
		k.keeper.Process.Kill()
		k.t.Error("the keeper did not end")
	}
	k.ended <- nil
}

func command(words ...string) string { return strings.Join(words, "\x00") + "\x00" }

func TestKeeperMovesPipes(t *testing.T) {
	k := startKeeper(t, map[string]string{"WHO": "application"})
	k.say(framePipes, command("sh", "-c", `cat; echo "$WHO $HOME" >&2; exit 7`))
	big := strings.Repeat("x", 40000)
	go func() {
		for i := 0; i < 10; i++ {
			k.host.Write(appendFrame(nil, frameInput, []byte(big)))
		}
		k.host.Write(appendFrame(nil, frameInputEnd, nil))
	}()
	if status := k.exit(); !bytes.Equal(status, []byte{0, 7}) {
		t.Errorf("status %v", status)
	}
	if len(k.said[frameOutput]) != 400000 || string(k.said[frameErrors]) != "application /root\n" {
		t.Errorf("%d bytes, %q", len(k.said[frameOutput]), k.said[frameErrors])
	}
	k.wait()
}

func TestKeeperTellsHowItEnded(t *testing.T) {
	for _, one := range []struct {
		words  []string
		status []byte
		errors string
	}{
		{[]string{"sh", "-c", "kill -9 $$"}, []byte{1, 9}, ""},
		{[]string{"no-such-program"}, []byte{0, 127}, "no-such-program: not found\n"},
		{[]string{"/etc/passwd"}, []byte{0, 126}, "/etc/passwd: permission denied\n"},
		{[]string{""}, []byte{0, 126}, ""},
	} {
		k := startKeeper(t, nil)
		k.say(framePipes, command(one.words...))
		status := k.exit()
		if one.errors != "" && string(k.said[frameErrors]) != one.errors {
			t.Errorf("%q: %q", one.words, k.said[frameErrors])
		}
		if !bytes.Equal(status, one.status) {
			t.Errorf("%q: %v", one.words, status)
		}
		k.wait()
	}
}

func TestKeeperTerminal(t *testing.T) {
	k := startKeeper(t, map[string]string{"PS1": "ready> "})
	k.say(frameTerminal, command("bash", "--norc"))
	k.untilText("ready> ")
	k.say(frameInput, "stty size; tty; echo $TERM\r")
	k.untilText("xterm\r\n")
	if text := string(k.said[frameOutput]); !strings.Contains(text, "0 0\r\n/dev/pts/") {
		t.Errorf("%q", text)
	}
	k.say(frameSize, "\x00\x78\x00\x28")
	k.say(frameInput, "stty size\r")
	k.untilText("40 120\r\n")
	k.say(frameInput, "sh -c 'echo $((6*7)); exec sleep 1000'\r")
	k.untilText("42\r\n")
	k.say(frameInput, "\x03")
	k.untilText("^C")
	k.say(frameInput, "echo was=$?; sleep 3 & jobs; exit 3\r")
	if status := k.exit(); !bytes.Equal(status, []byte{0, 3}) {
		t.Errorf("status %v", status)
	}
	text := string(k.said[frameOutput])
	if !strings.Contains(text, "was=130\r\n") || !strings.Contains(text, "Running") {
		t.Errorf("%q", text)
	}
	k.wait()
}

func TestKeeperHangsUp(t *testing.T) {
	mark := fmt.Sprint(100000 + os.Getpid())
	k := startKeeper(t, nil)
	k.say(frameTerminal, command("bash", "-c", "trap '' HUP; sleep "+mark+" & (sleep "+mark+"; true) & echo up; sleep "+mark))
	k.untilText("up")
	k.host.Close()
	k.wait()
	if left, _ := exec.Command("pgrep", "-x", "-f", "sleep "+mark).Output(); len(left) > 0 {
		t.Errorf("left: %s", left)
	}
}

// A keeper's orphans are this process's here, as they are the application's in a guest, and nobody else waits for them.
func TestKeeperLeavesNobodyToWaitFor(t *testing.T) {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prChildSubreaper, 1, 0); errno != 0 {
		t.Fatal(errno)
	}
	defer syscall.RawSyscall(syscall.SYS_PRCTL, prChildSubreaper, 0, 0)
	for i := 0; i < 40; i++ {
		k := startKeeper(t, nil)
		k.say(frameTerminal, command("sh", "-c", "sleep 1000 & sleep 1001 & echo up; wait"))
		k.untilText("up")
		k.host.Close()
		k.wait()
		var status syscall.WaitStatus
		if pid, _ := syscall.Wait4(-1, &status, syscall.WNOHANG, nil); pid > 0 {
			t.Fatalf("keeper %d left process %d to its parent", i, pid)
		}
	}
}

func TestKeeperWhoIsNotRead(t *testing.T) {
	k := startKeeper(t, nil)
	k.say(frameTerminal, command("yes"))
	k.untilText("y\r\n")
	time.Sleep(200 * time.Millisecond) // everything between is full now
	k.say(frameInput, "\x03")
	if status := k.exit(); !bytes.Equal(status, []byte{1, 2}) {
		t.Errorf("status %v", status)
	}
	other := startKeeper(t, nil)
	other.say(framePipes, command("sleep", "1000"))
	go func() {
		for i := 0; i < 1000; i++ {
			if _, err := other.host.Write(appendFrame(nil, frameInput, make([]byte, 60000))); err != nil {
				return
			}
		}
	}()
	time.Sleep(100 * time.Millisecond)
	other.host.Close()
	other.wait()
}

// One connection with the host: JSON, one object a line. Text that may hold anything travels as base64.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

const (
	maxLineBytes = 8 << 20
	logPiece     = 32 << 10
	// Of the log; the host keeps less. What comes after goes nowhere.
	maxLogBytes = 16 << 20
	// From the last line until the host hangs up.
	lastWordPatience = 30 * time.Second
)

// order is the host's first line.
type order struct {
	ZipBytes  int64         `json:"zipBytes"`
	Limits    archiveLimits `json:"limits"`
	TimeoutMs int64         `json:"timeoutMs"`
	// No file of the build may be longer.
	MaxFileBytes       int64    `json:"maxFileBytes"`
	MaxDockerfileBytes int64    `json:"maxDockerfileBytes"`
	BuildArguments     []string `json:"buildArguments"`
	// Of mkfs, without the tree and the device. UUID stands for one made of the image's id.
	DiskArguments []string `json:"diskArguments"`
	// registries.conf and the certificate authorities of the host.
	Registries  string `json:"registries"`
	Authorities string `json:"authorities"`
}

// checked is the host's second line: the Dockerfile as buildah gets it, or word that the build is over.
type checked struct {
	Stop       bool    `json:"stop"`
	Dockerfile []byte  `json:"dockerfile"`
	Images     []image `json:"images"`
}

type image struct {
	Name string `json:"name"`
}

// message is what the host gets; one member is set.
type message struct {
	Log      []byte       `json:"log,omitempty"`
	Unpacked *unpacked    `json:"unpacked,omitempty"`
	Built    *built       `json:"built,omitempty"`
	Failed   *stepFailure `json:"failed,omitempty"`
}

type unpacked struct {
	Entries       int    `json:"entries"`
	UnpackedBytes int64  `json:"unpackedBytes"`
	Dockerfile    []byte `json:"dockerfile"`
}

type built struct {
	ImageID          string `json:"imageId"`
	Inspected        []byte `json:"inspected"`
	CodeInstallBytes int64  `json:"codeInstallBytes"`
}

// stepFailure says which step failed: archive, stopped, pull, build, export, or one of the machine's own.
type stepFailure struct {
	Step string `json:"step"`
	// A closed code for archive, else empty.
	Reason string `json:"reason,omitempty"`
	What   string `json:"what,omitempty"`
	// The end of standard error.
	Said     string   `json:"said,omitempty"`
	ExitCode int      `json:"exitCode,omitempty"`
	Signal   string   `json:"signal,omitempty"`
	Late     bool     `json:"late,omitempty"`
	Image    string   `json:"image,omitempty"`
	Local    []string `json:"local,omitempty"`
}

func failure(failed stepFailure) message {
	failed.What, failed.Said = lastOf(failed.What, 8<<10), lastOf(failed.Said, 4<<10)
	return message{Failed: &failed}
}

func lastOf(text string, bytes int) string {
	if len(text) > bytes {
		return text[len(text)-bytes:]
	}
	return text
}

type conversation struct {
	connection net.Conn
	reader     *bufio.Reader
	mutex      sync.Mutex
	logged     int
}

func newConversation(connection net.Conn) *conversation {
	return &conversation{connection: connection, reader: bufio.NewReaderSize(connection, 64<<10)}
}

func (c *conversation) close() { c.connection.Close() }

// untilHeard returns when the host has hung up. The VM ends with this program, and what is still on its way then is lost.
func (c *conversation) untilHeard() {
	c.connection.SetReadDeadline(time.Now().Add(lastWordPatience))
	io.Copy(io.Discard, c.reader)
}

func (c *conversation) receive(value any) error {
	var line []byte
	for {
		piece, more, err := c.reader.ReadLine()
		if err != nil {
			return err
		}
		line = append(line, piece...)
		if len(line) > maxLineBytes {
			return errors.New("the host's line is too long")
		}
		if !more {
			return json.Unmarshal(line, value)
		}
	}
}

func (c *conversation) send(value message) error {
	line, err := json.Marshal(value)
	if err != nil {
		return err
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	_, err = c.connection.Write(append(line, '\n'))
	return err
}

// Write takes what a step prints; a step is never stopped by a host that does not listen any more.
func (c *conversation) Write(text []byte) (int, error) {
	for rest := text; len(rest) > 0; {
		piece := rest
		if len(piece) > logPiece {
			piece = piece[:logPiece]
		}
		rest = rest[len(piece):]
		c.mutex.Lock()
		c.logged += len(piece)
		full := c.logged > maxLogBytes
		c.mutex.Unlock()
		if full {
			break
		}
		c.send(message{Log: piece})
	}
	return len(text), nil
}

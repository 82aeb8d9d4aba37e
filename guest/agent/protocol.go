// The control protocol's words: one question or answer a line (docs/guest-protocol.md).
package main

import (
	"encoding/json"
	"fmt"
	"strconv"
)

const (
	maxLineBytes = 1 << 20
	// An answer is short, whatever the question quoted in it was: the host ends a VM whose answers are not.
	maxMessageBytes = 1 << 10
)

type question struct {
	ID               uint64
	Call             string
	Port             int
	Path             string
	Body             string
	HasBody          bool
	TimeoutMs        int64
	Argv             []string
	Environment      map[string]string
	WorkingDirectory string
	User             string
	AllCapabilities  bool
	Hostname         string
	UnixNs           string
	Entropy          []byte // a part of the line itself, so that it can be wiped
	MachineID        string
	BootID           string
}

// callError is an `error` answer.
type callError struct{ code, message string }

func (e *callError) Error() string { return e.code + ": " + e.message }

func invalid(format string, values ...any) *callError {
	return &callError{"invalid", fmt.Sprintf(format, values...)}
}

func failed(format string, values ...any) *callError {
	return &callError{"failed", fmt.Sprintf(format, values...)}
}

// parseQuestion returns what it understood also when it fails, for the sake of the id.
func parseQuestion(line []byte) (*question, *callError) {
	asked := &question{}
	p := jsonParser{text: line}
	p.object(func(name string) { asked.member(name, &p) })
	p.end()
	if p.failed {
		return asked, invalid("the line is not a question: error at byte %d", p.at)
	}
	return asked, nil
}

func (q *question) member(name string, p *jsonParser) {
	switch name {
	case "id":
		q.ID = uint64(p.integer())
	case "call":
		q.Call = p.string()
	case "port":
		q.Port = int(p.integer())
	case "path":
		q.Path = p.string()
	case "body":
		if q.HasBody = !p.null(); q.HasBody {
			q.Body = p.string()
		}
	case "timeoutMs":
		q.TimeoutMs = p.integer()
	case "argv":
		p.array(func() { q.Argv = append(q.Argv, p.string()) })
	case "environment":
		q.Environment = map[string]string{}
		p.object(func(name string) { q.Environment[name] = p.string() })
	case "workingDirectory":
		q.WorkingDirectory = p.string()
	case "user":
		q.User = p.string()
	case "allCapabilities":
		q.AllCapabilities = p.boolean()
	case "hostname":
		q.Hostname = p.string()
	case "unixNs":
		q.UnixNs = p.string()
	case "entropy":
		q.Entropy = p.plainBytes()
	case "machineId":
		q.MachineID = p.string()
	case "bootId":
		q.BootID = p.string()
	default:
		p.skip(0)
	}
}

// appendAnswer appends a whole line; `ok` is a JSON object already.
func appendAnswer(line []byte, id uint64, ok string, failure *callError) []byte {
	line = append(line, `{"id":`...)
	line = strconv.AppendUint(line, id, 10)
	if failure == nil {
		line = append(line, `,"ok":`...)
		line = append(line, ok...)
		return append(line, "}\n"...)
	}
	line = append(line, `,"error":{"code":`...)
	line = appendQuoted(line, failure.code)
	line = append(line, `,"message":`...)
	line = appendQuoted(line, cut(failure.message, maxMessageBytes))
	return append(line, "}}\n"...)
}

func cut(text string, limit int) string {
	if len(text) > limit {
		return text[:limit]
	}
	return text
}

func appendQuoted(line []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(line, `""`...)
	}
	return append(line, quoted...)
}

// The few lines of HTTP/1.1 that a hook needs.
package main

import (
	"bytes"
	"errors"
	"strconv"
)

var (
	errNotHTTP  = errors.New("the answer is not HTTP")
	errNoAnswer = errors.New("the application closed the connection without an answer")
)

func hookRequest(asked *question) []byte {
	request := make([]byte, 0, 192+len(asked.Path)+len(asked.Body))
	request = append(append(request, "POST "...), asked.Path...)
	request = append(request, " HTTP/1.1\r\nHost: localhost:"...)
	request = strconv.AppendInt(request, int64(asked.Port), 10)
	request = append(request, "\r\nConnection: close\r\n"...)
	if asked.HasBody {
		request = append(request, "Content-Type: application/json\r\n"...)
	}
	request = append(request, "Content-Length: "...)
	request = strconv.AppendInt(request, int64(len(asked.Body)), 10)
	request = append(request, "\r\n\r\n"...)
	return append(request, asked.Body...)
}

// readStatus finds the status that counts in the bytes that came so far, skipping interim answers (1xx).
func readStatus(head []byte) (status int, done bool, err error) {
	for {
		end := bytes.IndexByte(head, '\n')
		if end < 0 {
			return 0, false, nil
		}
		status, err := parseStatusLine(bytes.TrimSuffix(head[:end], []byte{'\r'}))
		if err != nil || status >= 200 || status == 101 {
			return status, err == nil, err
		}
		// An interim answer ends with an empty line.
		for {
			head = head[end+1:]
			if end = bytes.IndexByte(head, '\n'); end < 0 {
				return 0, false, nil
			}
			if end == 0 || end == 1 && head[0] == '\r' {
				head = head[end+1:]
				break
			}
		}
	}
}

// parseStatusLine takes `HTTP/1.1 200 OK`, also without a reason.
func parseStatusLine(line []byte) (int, error) {
	if len(line) < 12 || string(line[:7]) != "HTTP/1." || line[8] != ' ' || len(line) > 12 && line[12] != ' ' {
		return 0, errNotHTTP
	}
	status := 0
	for _, c := range line[9:12] {
		if c < '0' || c > '9' {
			return 0, errNotHTTP
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return 0, errNotHTTP
	}
	return status, nil
}

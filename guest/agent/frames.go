// Frames of a shell's conversation: one byte of kind, two bytes of length (big endian), then so many bytes.
package main

import (
	"encoding/binary"
	"io"
)

const (
	// From the host. Terminal and pipes begin a conversation; their payload is the command, each word ended by a NUL, or empty for a shell.
	frameTerminal = 't'
	framePipes    = 'p'
	frameInput    = 'i'
	frameInputEnd = 'z'
	frameSize     = 'w' // columns and rows, two bytes each

	// From the guest. What ends a conversation comes last.
	frameOutput  = 'o'
	frameErrors  = 'e'
	frameExit    = 'x' // 0 and the exit code, or 1 and the signal's number
	frameFailed  = 'f' // a sentence
	frameTooMany = 'b' // a sentence

	frameHeaderBytes = 3
	maxFrameBytes    = 1<<16 - 1
)

// appendFrame cuts what is too long for a frame.
func appendFrame(to []byte, kind byte, payload []byte) []byte {
	if len(payload) > maxFrameBytes {
		payload = payload[:maxFrameBytes]
	}
	to = append(to, kind, byte(len(payload)>>8), byte(len(payload)))
	return append(to, payload...)
}

// readFrame's payload lies in buffer, which has room for the longest.
func readFrame(from io.Reader, buffer []byte) (kind byte, payload []byte, err error) {
	if _, err := io.ReadFull(from, buffer[:frameHeaderBytes]); err != nil {
		return 0, nil, err
	}
	kind, length := buffer[0], binary.BigEndian.Uint16(buffer[1:])
	_, err = io.ReadFull(from, buffer[:length])
	return kind, buffer[:length], err
}

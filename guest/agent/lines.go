// Cuts what a port delivers into lines, with a limit.
package main

import "bytes"

const firstLineBytes = 8 << 10

type lineReader struct {
	buffer     []byte
	start, end int
	searched   int  // no line ends between start and here
	skipping   bool // inside a line that was too long
}

func newLineReader() *lineReader { return &lineReader{buffer: make([]byte, firstLineBytes)} }

// room returns where the next bytes go; lines returned before are lost.
func (r *lineReader) room() []byte {
	if r.start > 0 {
		copy(r.buffer, r.buffer[r.start:r.end])
		r.end -= r.start
		r.searched -= r.start
		r.start = 0
	}
	if r.end == len(r.buffer) {
		grown := make([]byte, 2*len(r.buffer))
		copy(grown, r.buffer)
		r.buffer = grown
	}
	return r.buffer[r.end:]
}

func (r *lineReader) filled(n int) { r.end += n }

// forget drops an unfinished line: its sender is gone.
func (r *lineReader) forget() { r.start, r.end, r.searched, r.skipping = 0, 0, 0, false }

// next returns a whole line without its end, valid until room is called; `long` once for each line over the limit.
func (r *lineReader) next() (line []byte, long, ok bool) {
	for {
		at := bytes.IndexByte(r.buffer[r.searched:r.end], '\n')
		if at < 0 {
			r.searched = r.end
			if r.end-r.start < maxLineBytes {
				return nil, false, false
			}
			long = !r.skipping
			r.start, r.end, r.searched, r.skipping = 0, 0, 0, true
			return nil, long, long
		}
		line = r.buffer[r.start : r.searched+at]
		r.searched += at + 1
		r.start = r.searched
		if !r.skipping {
			return line, false, true
		}
		r.skipping = false
	}
}

// shrink gives a buffer that once held a long line back.
func (r *lineReader) shrink() {
	if r.start == r.end && !r.skipping && len(r.buffer) > firstLineBytes {
		*r = *newLineReader()
	}
}

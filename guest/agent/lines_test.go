package main

import (
	"bytes"
	"testing"
)

func feed(r *lineReader, text []byte) (lines []string, long int) {
	for len(text) > 0 {
		n := copy(r.room(), text)
		r.filled(n)
		text = text[n:]
		for {
			line, isLong, ok := r.next()
			if !ok {
				break
			}
			if isLong {
				long++
			} else {
				lines = append(lines, string(line))
			}
		}
	}
	return lines, long
}

func TestLinesArriveInAnyPieces(t *testing.T) {
	r := newLineReader()
	var all []string
	for _, c := range []byte("one\n\ntwo\nthree") {
		lines, _ := feed(r, []byte{c})
		all = append(all, lines...)
	}
	if len(all) != 3 || all[0] != "one" || all[1] != "" || all[2] != "two" {
		t.Fatalf("%q", all)
	}
	r.forget()
	if lines, _ := feed(r, []byte("four\n")); len(lines) != 1 || lines[0] != "four" {
		t.Fatalf("%q", lines)
	}
}

func TestLineLimit(t *testing.T) {
	r := newLineReader()
	longest := bytes.Repeat([]byte{'x'}, maxLineBytes-1)
	if lines, long := feed(r, append(longest, '\n')); len(lines) != 1 || long != 0 {
		t.Fatal("the longest line was refused")
	}
	lines, long := feed(r, append(bytes.Repeat([]byte{'x'}, 3*maxLineBytes), "\nnext\n"...))
	if long != 1 || len(lines) != 1 || lines[0] != "next" || len(r.buffer) > maxLineBytes {
		t.Fatalf("%d long, %d lines, buffer %d", long, len(lines), len(r.buffer))
	}
	if r.shrink(); len(r.buffer) != firstLineBytes {
		t.Fatal("the buffer was kept")
	}
}

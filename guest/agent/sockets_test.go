package main

import (
	"net"
	"syscall"
	"testing"
)

func diagID(family byte, peer string) []byte {
	id := make([]byte, diagIDBytes)
	if family == syscall.AF_INET6 {
		copy(id[20:], net.ParseIP(peer).To16())
	} else {
		copy(id[20:], net.ParseIP(peer).To4())
	}
	return id
}

func TestWhoStaysInside(t *testing.T) {
	for _, test := range []struct {
		family byte
		peer   string
		inside bool
	}{
		{syscall.AF_INET, "127.0.0.1", true}, {syscall.AF_INET, "127.9.9.9", true}, {syscall.AF_INET, "10.111.0.2", true},
		{syscall.AF_INET, "10.111.0.1", false}, {syscall.AF_INET, "1.1.1.1", false}, {syscall.AF_INET, "0.0.0.0", false},
		{syscall.AF_INET6, "::1", true}, {syscall.AF_INET6, "::ffff:127.0.0.1", true}, {syscall.AF_INET6, "::ffff:10.111.0.2", true},
		{syscall.AF_INET6, "::ffff:8.8.8.8", false}, {syscall.AF_INET6, "fe80::1", false}, {syscall.AF_INET6, "::2", false},
	} {
		if staysInside(test.family, diagID(test.family, test.peer)) != test.inside {
			t.Errorf("%s", test.peer)
		}
	}
}

func TestBrokenNetlinkAnswersAreRefused(t *testing.T) {
	table := &socketTable{}
	for _, length := range []uint32{0, 15, 1000} {
		message := make([]byte, 16)
		native.PutUint32(message, length)
		if _, err := table.take(message); err == nil {
			t.Errorf("length %d was taken", length)
		}
	}
	if err := netlinkVerdict([]byte{1, 2, 3}); err == nil {
		t.Error("a short verdict was taken")
	}
}

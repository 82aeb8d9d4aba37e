package main

import (
	"strings"
	"testing"
)

func TestStatus(t *testing.T) {
	for _, test := range []struct {
		head   string
		status int
		done   bool
		bad    bool
	}{
		{"HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody", 200, true, false},
		{"HTTP/1.0 503\n", 503, true, false},
		{"HTTP/1.1 200 O", 0, false, false},
		{"", 0, false, false},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n", 204, true, false},
		{"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n", 0, false, false},
		{"HTTP/1.1 103 Hints\r\nLink", 0, false, false},
		{"HTTP/2 200 OK\r\n", 0, false, true},
		{"HTTP/1.1 2000 OK\r\n", 0, false, true},
		{"HTTP/1.1 099 OK\r\n", 0, false, true},
		{"HTTP/1.1 -20 OK\r\n", 0, false, true},
		{"SSH-2.0-x\r\n", 0, false, true},
		{"\r\n", 0, false, true},
	} {
		status, done, err := readStatus([]byte(test.head))
		if status != test.status && err == nil || done != test.done || (err != nil) != test.bad {
			t.Errorf("%q: %d %v %v", test.head, status, done, err)
		}
	}
}

func TestHookRequest(t *testing.T) {
	with := string(hookRequest(&question{Port: 9000, Path: "/run", Body: "{}", HasBody: true}))
	if with != "POST /run HTTP/1.1\r\nHost: localhost:9000\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}" {
		t.Errorf("%q", with)
	}
	if without := string(hookRequest(&question{Port: 9000, Path: "/ready"})); strings.Contains(without, "Content-Type") || !strings.Contains(without, "Content-Length: 0\r\n") {
		t.Errorf("%q", without)
	}
}

func TestHookQuestionsAreChecked(t *testing.T) {
	good := question{Port: 1, Path: "/a", TimeoutMs: 1}
	if failure := checkHook(&good); failure != nil {
		t.Fatal(failure)
	}
	for _, change := range []func(*question){
		func(q *question) { q.Port = 0 }, func(q *question) { q.Port = 65536 }, func(q *question) { q.TimeoutMs = 0 },
		func(q *question) { q.TimeoutMs = maxHookTimeoutMs + 1 }, func(q *question) { q.Path = "a" },
		func(q *question) { q.Path = "/a b" }, func(q *question) { q.Path = "/a\r\nX: y" },
	} {
		bad := good
		change(&bad)
		if failure := checkHook(&bad); failure == nil || failure.code != "invalid" {
			t.Errorf("%+v was taken", bad)
		}
	}
}

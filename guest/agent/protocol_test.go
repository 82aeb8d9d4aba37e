package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestQuestionIsReadWhole(t *testing.T) {
	asked, failure := parseQuestion([]byte(` {"id":7,"call":"start","argv":["a","ü\n"],"environment":{"A":"1","B":""},` +
		`"workingDirectory":"/w","user":"u:g","allCapabilities":true,"hostname":"h","body":null,"unknown":[{"x":[1,true,null]}]}`))
	if failure != nil {
		t.Fatal(failure)
	}
	want := &question{ID: 7, Call: "start", Argv: []string{"a", "ü\n"}, Environment: map[string]string{"A": "1", "B": ""},
		WorkingDirectory: "/w", User: "u:g", AllCapabilities: true, Hostname: "h"}
	if !reflect.DeepEqual(asked, want) {
		t.Fatalf("%+v", asked)
	}
}

func TestBodyIsTakenExactly(t *testing.T) {
	asked, failure := parseQuestion([]byte(`{"id":1,"body":"{\"a\":\"\\u00e9\ud83d\ude00\"}"}`))
	if failure != nil || !asked.HasBody || asked.Body != "{\"a\":\"\\u00e9😀\"}" {
		t.Fatalf("%+v %v", asked, failure)
	}
}

func TestMalformedQuestionsAreInvalid(t *testing.T) {
	for _, line := range []string{``, `x`, `{`, `{}x`, `[]`, `{"id":1,}`, `{"id":"1"}`, `{"id":1.5}`, `{"id":01}`, `{"id":1234567890123456789}`,
		`{"call":1}`, `{"call":"a`, `{"call":"\`, `{"call":"\x"}`, "{\"call\":\"a\nb\"}", `{"argv":"a"}`, `{"argv":["a",]}`, `{"argv":[1]}`,
		`{"environment":{"A":1}}`, `{"allCapabilities":1}`, `{"port":-}`, `{"x":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`} {
		if asked, failure := parseQuestion([]byte(line)); failure == nil || failure.code != "invalid" {
			t.Errorf("%q gave %+v", line, asked)
		}
	}
}

// What the small reader takes, the library takes too, and understands alike.
func FuzzReaderAgreesWithLibrary(f *testing.F) {
	for _, seed := range []string{`{"call":"a\u0041"}`, `{"id":-1,"call":"","x":{}}`, `{"argv":["a","b"],"environment":{"k":"v"}}`, "{\"call\":\"\xff\"}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		asked, failure := parseQuestion(line)
		if failure != nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(line, &members); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		var call string
		if raw, ok := members["call"]; ok && json.Unmarshal(raw, &call) == nil && strings.Count(string(line), "call") == 1 && call != asked.Call {
			t.Fatalf("%q: %q, library %q", line, asked.Call, call)
		}
	})
}

func TestAnswersAreLines(t *testing.T) {
	line := appendAnswer(nil, 3, `{"status":200}`, nil)
	line = appendAnswer(line, 4, "", failed("a\n\"b\""))
	if want := "{\"id\":3,\"ok\":{\"status\":200}}\n" + `{"id":4,"error":{"code":"failed","message":"a\n\"b\""}}` + "\n"; string(line) != want {
		t.Fatalf("%s", line)
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]bool{"a": true, "vm-1.x": true, "": false, "-a": false, "a-": false, "a b": false, "a\n": false, strings.Repeat("a", 64): false} {
		if validHostname(name) != want {
			t.Errorf("hostname %q", name)
		}
	}
	for id, want := range map[string]bool{"0a1b2c3d-0000-4000-8000-000000000001": true, "0A1b2c3d-0000-4000-8000-000000000001": false,
		"0a1b2c3d00000-4000-8000-000000000001": false, "": false} {
		if hexShape(id, 36, 8, 13, 18, 23) != want {
			t.Errorf("boot id %q", id)
		}
	}
}

func TestEntropyIsWipedFromTheLineItCameIn(t *testing.T) {
	seed := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xa5}, entropyBytes))
	line := []byte(`{"id":1,"call":"freshen","entropy":"` + seed + `","hostname":"h"}`)
	asked, failure := parseQuestion(line)
	if failure != nil || string(asked.Entropy) != seed || asked.Hostname != "h" {
		t.Fatal(failure, asked)
	}
	noDevice := &machine{random: -1}
	if failure := noDevice.addEntropy(asked.Entropy); failure == nil {
		t.Fatal("added to a device that is not there")
	}
	if bytes.Contains(line, []byte(seed[:8])) || bytes.Count(line, []byte{0}) != len(seed) {
		t.Fatalf("the seed is still there: %q", line)
	}
}

func TestAnErrorIsShortWhateverItQuotes(t *testing.T) {
	_, failure := (&machine{}).answer(&question{Call: strings.Repeat("x", maxLineBytes-100)})
	if line := appendAnswer(nil, 1, "", failure); len(line) > 8<<10 {
		t.Fatal(len(line))
	}
}

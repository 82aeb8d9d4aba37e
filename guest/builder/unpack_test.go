package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

type entry struct {
	name, data    string
	mode          uint32
	flags, madeBy uint16
}

var dockerfile = entry{name: "Dockerfile", data: "FROM scratch\n"}
var honestLimits = archiveLimits{Entries: 10_000, UnpackedBytes: 1 << 31, Ratio: 200, RatioFloorBytes: 100_000_000}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	writer := zip.NewWriter(&out)
	for _, e := range entries {
		mode, madeBy := e.mode, e.madeBy
		if mode == 0 && madeBy == 0 {
			mode, madeBy = 0o100644, 3
		}
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Flags: e.flags, CreatorVersion: madeBy<<8 | 20, ExternalAttrs: mode << 16}
		if strings.HasSuffix(e.name, "/") {
			header.Method = zip.Store
		}
		to, err := writer.CreateHeader(header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(t testing.TB, zip []byte, limits archiveLimits) (string, *unpacked, error) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "deep", "out")
	if err := os.MkdirAll(root, 0o700); err != nil {
		t.Fatal(err)
	}
	facts, err := unpackArchive(io.NewSectionReader(bytes.NewReader(zip), 0, int64(len(zip))), root, limits)
	return root, facts, err
}

func TestComesOutAsItWentIn(t *testing.T) {
	root, facts, err := unpack(t, zipOf(t, dockerfile, entry{name: "bin/", mode: 0o040755, madeBy: 3},
		entry{name: "bin/start", data: strings.Repeat("x", 50_000), mode: 0o100755, madeBy: 3},
		entry{name: "./bin/setuid", data: "y", mode: 0o106755, madeBy: 3}, entry{name: "plain", data: "z", madeBy: 10},
		entry{name: "link", data: "bin/start", mode: 0o120777, madeBy: 3},
		entry{name: "bin/up", data: "../plain", mode: 0o120777, madeBy: 3}), honestLimits)
	if err != nil {
		t.Fatal(err)
	}
	if facts.Entries != 7 || facts.UnpackedBytes != 13+50_000+1+1+9+8 {
		t.Error(facts)
	}
	for name, mode := range map[string]os.FileMode{"bin/start": 0o755, "bin/setuid": 0o755, "plain": 0o644} {
		if found, err := os.Lstat(filepath.Join(root, name)); err != nil || found.Mode() != mode {
			t.Error(name, found, err)
		}
	}
	if text, err := os.ReadFile(filepath.Join(root, "bin/up")); err != nil || string(text) != "z" {
		t.Error(text, err)
	}
}

func TestRefused(t *testing.T) {
	link := func(name, target string) entry { return entry{name: name, data: target, mode: 0o120777, madeBy: 3} }
	for _, one := range []struct {
		why     string
		entries []entry
	}{
		{"contains `..`", []entry{{name: "../escaped"}}},
		{"contains `..`", []entry{{name: "a/../../escaped"}}},
		{"absolute", []entry{{name: "/etc/cron.d/x"}}},
		{"absolute", []entry{{name: "C:/x"}}},
		{"backslash", []entry{{name: `..\escaped`}}},
		{"zero byte", []entry{{name: "a\x00b"}}},
		{"longer than 255", []entry{{name: strings.Repeat("n", 256)}}},
		{"more than once", []entry{{name: "a"}, {name: "./a"}}},
		{"more than once", []entry{{name: "a/b"}, {name: "a"}}},
		{`below "a", which is a file`, []entry{{name: "a"}, {name: "a/b"}}},
		{`below "l", which is a symlink`, []entry{link("l", "d"), {name: "l/x"}}},
		{"more than once", []entry{{name: "l/x"}, link("l", "d")}},
		{`absolute path "/etc/shadow"`, []entry{link("l", "/etc/shadow")}},
		{"points outside", []entry{link("d/l", "../../x")}},
		{"`..` after a name", []entry{link("l", "d/../x")}},
		{"malformed target", []entry{link("l", "")}},
		{"target that is too long", []entry{link("l", strings.Repeat("x", 5000))}},
		{"encrypted", []entry{{name: "a", data: "x", flags: 1}}},
		{"neither a file", []entry{{name: "fifo", mode: 0o010644, madeBy: 3}}},
		{"neither a file", []entry{{name: "disk", mode: 0o060600, madeBy: 3}}},
	} {
		root, _, err := unpack(t, zipOf(t, append([]entry{dockerfile}, one.entries...)...), honestLimits)
		var fault *archiveFault
		if !errors.As(err, &fault) || fault.reason != invalid || !strings.Contains(fault.what, one.why) {
			t.Errorf("%s: %v", one.why, err)
		}
		onlyInside(t, root)
	}
}

// onlyInside fails when anything lies beside root.
func onlyInside(t testing.TB, root string) {
	t.Helper()
	for _, directory := range []string{filepath.Dir(root), filepath.Dir(filepath.Dir(root))} {
		if names, err := os.ReadDir(directory); err != nil || len(names) != 1 {
			t.Error(directory, names, err)
		}
	}
}

func TestLimits(t *testing.T) {
	big := zipOf(t, dockerfile, entry{name: "zeros", data: strings.Repeat("\x00", 3_000_000)})
	for _, one := range []struct {
		why    string
		change func(*archiveLimits)
	}{
		{"more than 2999999 bytes", func(l *archiveLimits) { l.UnpackedBytes = 2_999_999 }},
		{"decompression bomb", func(l *archiveLimits) { l.RatioFloorBytes = 1_000_000 }},
		{"more than 1 entries", func(l *archiveLimits) { l.Entries = 1 }},
		{"", func(*archiveLimits) {}},
	} {
		limits := honestLimits
		one.change(&limits)
		_, _, err := unpack(t, big, limits)
		if one.why == "" && err != nil || one.why != "" && (err == nil || !strings.Contains(err.Error(), one.why)) {
			t.Errorf("%q: %v", one.why, err)
		}
	}
}

func TestDirectoryOfUnreasonableSize(t *testing.T) {
	reads := &firstReads{ReaderAt: bytes.NewReader(make([]byte, 100)), left: 60}
	if _, err := reads.ReadAt(make([]byte, 50), 0); err != nil {
		t.Error(err)
	}
	if _, err := reads.ReadAt(make([]byte, 50), 0); err == nil {
		t.Error("nothing stops it")
	}
}

func TestDockerfileMissing(t *testing.T) {
	for _, entries := range [][]entry{{{name: "app/Dockerfile", data: "FROM scratch"}}, {{name: "dockerfile"}},
		{{name: "Dockerfile/", mode: 0o040755, madeBy: 3}}, {{name: "Dockerfile", data: "x", mode: 0o120777, madeBy: 3}}, {}} {
		_, _, err := unpack(t, zipOf(t, entries...), honestLimits)
		var fault *archiveFault
		if !errors.As(err, &fault) || fault.reason != missing {
			t.Error(entries, err)
		}
	}
}

// Whatever the bytes are, nothing appears outside the directory and nothing panics.
func FuzzUnpack(f *testing.F) {
	f.Add(zipOf(f, dockerfile, entry{name: "a/b", data: "hello"}, entry{name: "l", data: "a", mode: 0o120777, madeBy: 3}))
	f.Fuzz(func(t *testing.T, zip []byte) {
		root, _, _ := unpack(t, zip, archiveLimits{Entries: 100, UnpackedBytes: 1 << 20, Ratio: 200, RatioFloorBytes: 1 << 20})
		onlyInside(t, root)
	})
}

func TestUuid(t *testing.T) {
	id := uuidOf("sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(id) || len(uuidOf("x")) != len(id) {
		t.Error(id, uuidOf("x"))
	}
}

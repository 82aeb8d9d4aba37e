// What a zip's entries may be called and how they may lie inside each other; the same rules as src/build/archive-tree.ts.
package main

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strings"
)

const (
	invalid = "ARCHIVE_INVALID"
	missing = "ARCHIVE_DOCKERFILE_NOT_FOUND"
)

type entryKind string

const (
	directory entryKind = "directory"
	plainFile entryKind = "file"
	symlink   entryKind = "symlink"
)

// archiveFault is a zip that is not acceptable; what is a sentence.
type archiveFault struct{ reason, what string }

func (f *archiveFault) Error() string { return f.what }

func refuse(format string, arguments ...any) error {
	return &archiveFault{invalid, fmt.Sprintf(format, arguments...)}
}

// shown is a name for people: quoted, control characters visible, shortened.
func shown(name string) string {
	if runes := []rune(name); len(runes) > 120 {
		name = string(runes[:120]) + "…"
	}
	quoted, _ := json.Marshal(name)
	return string(quoted)
}

var drive = regexp.MustCompile(`^[A-Za-z]:`)

// parts drops empty and `.` parts.
func parts(name string) []string {
	var kept []string
	for _, part := range strings.Split(name, "/") {
		if part != "" && part != "." {
			kept = append(kept, part)
		}
	}
	return kept
}

// entryPath is the entry's path below the root, without `./` and trailing slash.
func entryPath(name string) (string, error) {
	why := ""
	switch {
	case strings.Contains(name, "\x00"):
		why = "contains a zero byte"
	case strings.Contains(name, `\`):
		why = "contains a backslash; names in a zip use forward slashes"
	case strings.HasPrefix(name, "/") || drive.MatchString(name):
		why = "is an absolute path"
	case len(name) > 4096:
		why = "is longer than 4096 bytes"
	}
	kept := parts(name)
	for _, part := range kept {
		if part == ".." && why == "" {
			why = "contains `..`"
		}
		if len(part) > 255 && why == "" {
			why = "has a part longer than 255 bytes"
		}
	}
	if why != "" {
		return "", refuse("The zip has an entry named %s, which %s.", shown(name), why)
	}
	return strings.Join(kept, "/"), nil
}

// checkSymlink refuses a link unless it stays below the root whatever else the zip holds.
func checkSymlink(name, target string) error {
	no := func(why string) error { return refuse("The symlink %s in the zip %s.", shown(name), why) }
	if target == "" || strings.ContainsAny(target, "\x00\\") {
		return no("has a malformed target")
	}
	if strings.HasPrefix(target, "/") {
		return no("points to the absolute path " + shown(target))
	}
	named := false
	for _, part := range parts(target) {
		// After a named part, `..` may start from wherever another link leads, so only leading ones can be judged.
		if part == ".." && named {
			return no("has a `..` after a name in its target " + shown(target))
		}
		named = named || part != ".."
	}
	if joined := path.Join(path.Dir(name), target); joined == ".." || strings.HasPrefix(joined, "../") {
		return no("points outside the zip: " + shown(target))
	}
	return nil
}

type place struct {
	kind    entryKind
	implied bool
}

// archiveTree remembers what is where, and refuses duplicates and entries below a file or a link, in whichever order they come.
type archiveTree map[string]place

func (t archiveTree) add(name string, kind entryKind) error {
	for at, letter := range name {
		if letter != '/' {
			continue
		}
		above := name[:at]
		known, found := t[above]
		if found && known.kind != directory {
			return refuse("The zip has an entry below %s, which is a %s.", shown(above), known.kind)
		}
		if !found {
			t[above] = place{directory, true}
		}
	}
	if known, found := t[name]; found && !(known.implied && kind == directory) {
		return refuse("The zip has %s more than once.", shown(name))
	}
	t[name] = place{kind, false}
	return nil
}

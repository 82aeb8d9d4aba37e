// The words before `--`. Lists keep their order; anything unknown or missing is an error, never a weaker jail.
package main

import (
	"fmt"
	"strconv"
	"strings"
)

type link struct{ path, target string }

type plan struct {
	// netns is the path of a network namespace, tap the name of a tap in it.
	netns, tap string
	// root is an empty directory; the new root is mounted on it, for this process alone.
	root string
	// links are symbolic links of the new root; directories and files are seen read-only under their own paths.
	links              []link
	directories, files []string
	// devices are device nodes that may be opened.
	devices []string
	// scratch is the only directory that can be written: a file system of its own with scratchBytes.
	scratch      string
	scratchBytes uint64
	// keepBelow: inherited descriptors from here on are closed; they are the server's or its parent's, left open by mistake.
	keepBelow uint64
	// maxFile and maxOpen: no file grows past so many bytes, no more descriptors are open.
	maxFile, maxOpen uint64
	uid              uint64
	// group beside the user's own (that of /dev/kvm); 0: none.
	group uint64
}

func readPlan(words []string) (plan, []string) {
	var p plan
	for i, word := range words {
		if word == "--" {
			check("plan", p.missing(words[i+1:]))
			return p, words[i+1:]
		}
		name, value, found := strings.Cut(word, "=")
		if !found || value == "" {
			check("plan", fmt.Errorf("%q is not WORD=VALUE", word))
		}
		check("plan: "+name, p.take(name, value))
	}
	check("plan", fmt.Errorf("usage: launch WORD=VALUE... -- COMMAND ARG..."))
	return p, nil
}

func (p *plan) take(name, value string) (err error) {
	switch name {
	case "netns":
		p.netns = value
	case "tap":
		p.tap = value
	case "root":
		p.root = value
	case "link":
		path, target, found := strings.Cut(value, ":")
		if !found {
			return fmt.Errorf("%q is not PATH:TARGET", value)
		}
		p.links = append(p.links, link{path, target})
	case "directory":
		p.directories = append(p.directories, value)
	case "file":
		p.files = append(p.files, value)
	case "device":
		p.devices = append(p.devices, value)
	case "scratch":
		p.scratch = value
	case "scratch-bytes":
		p.scratchBytes, err = number(value)
	case "keep-below":
		p.keepBelow, err = number(value)
	case "max-file":
		p.maxFile, err = number(value)
	case "max-open":
		p.maxOpen, err = number(value)
	case "uid":
		p.uid, err = number(value)
	case "group":
		p.group, err = number(value)
	default:
		return fmt.Errorf("unknown word")
	}
	return err
}

func (p *plan) missing(command []string) error {
	switch {
	case len(command) == 0:
		return fmt.Errorf("no command")
	case p.root == "" || p.scratch == "":
		return fmt.Errorf("root and scratch are needed")
	case p.uid == 0 || p.maxFile == 0 || p.maxOpen == 0 || p.scratchBytes == 0 || p.keepBelow == 0:
		return fmt.Errorf("uid, max-file, max-open, scratch-bytes and keep-below are needed")
	}
	return nil
}

// number is a positive one: neither user 0 nor a limit of nothing is ever meant.
func number(text string) (uint64, error) {
	value, err := strconv.ParseUint(text, 10, 62)
	if err != nil || value == 0 {
		return 0, fmt.Errorf("%q is not a positive number", text)
	}
	return value, nil
}

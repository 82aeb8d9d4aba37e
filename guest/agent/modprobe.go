// The agent's binary under the name `/modprobe`: the kernel starts it when something needs a module that is not loaded.
// The modules lie packed in the initramfs, with an index that guest/build.sh makes. Only a VM whose application has all
// capabilities keeps them: for the others nobody can make the kernel load anything.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"unsafe"
)

const (
	modprobeName     = "/modprobe"
	modprobeSetting  = "/proc/sys/kernel/modprobe"
	modulesDirectory = "/modules"
	maxModuleBytes   = 16 << 20
)

// moduleIndex says which module answers to an alias pattern, and what each module needs to be loaded before it.
type moduleIndex struct {
	aliases [][2]string // pattern, module
	needs   map[string][]string
}

// modprobe answers `/modprobe -q -- NAME`; the kernel looks at nothing but whether the module came.
func modprobe(arguments []string) {
	wanted := arguments[len(arguments)-1]
	text, err := os.ReadFile(modulesDirectory + "/index")
	if err == nil {
		err = probe(parseModuleIndex(string(text)), wanted, loadPacked)
	}
	if err != nil {
		os.Exit(1)
	}
}

// parseModuleIndex reads lines `needs MODULE OTHER…` and `alias PATTERN MODULE`.
func parseModuleIndex(text string) moduleIndex {
	index := moduleIndex{needs: map[string][]string{}}
	for _, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		if len(fields) >= 2 && fields[0] == "needs" {
			index.needs[fields[1]] = fields[2:]
		} else if len(fields) == 3 && fields[0] == "alias" {
			index.aliases = append(index.aliases, [2]string{moduleName(fields[1]), fields[2]})
		}
	}
	return index
}

// moduleName writes a name as modules write it: `-` and `_` are the same letter.
func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

// probe loads every module that answers to the name, each after what it needs.
func probe(index moduleIndex, wanted string, load func(name string) error) error {
	wanted = moduleName(wanted)
	found := []string{}
	if _, ok := index.needs[wanted]; ok {
		found = append(found, wanted)
	}
	for _, alias := range index.aliases {
		if match, err := path.Match(alias[0], wanted); err == nil && match {
			found = append(found, alias[1])
		}
	}
	if len(found) == 0 {
		return fmt.Errorf("no module answers to %q", wanted)
	}
	loaded := map[string]bool{}
	for _, name := range found {
		if err := index.loadAfterNeeds(name, loaded, load); err != nil {
			return err
		}
	}
	return nil
}

func (index moduleIndex) loadAfterNeeds(name string, loaded map[string]bool, load func(string) error) error {
	needed, packed := index.needs[name]
	// What is not packed was loaded at boot.
	if loaded[name] || !packed {
		return nil
	}
	loaded[name] = true
	for _, other := range needed {
		if err := index.loadAfterNeeds(other, loaded, load); err != nil {
			return err
		}
	}
	return load(name)
}

func loadPacked(name string) error {
	file, err := os.Open(modulesDirectory + "/" + name + ".ko.gz")
	if err != nil {
		return err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	var image bytes.Buffer
	if _, err := io.Copy(&image, io.LimitReader(unpacked, maxModuleBytes)); err != nil {
		return err
	}
	noParameters := []byte{0}
	_, _, errno := syscall.Syscall(syscall.SYS_INIT_MODULE, pointerTo(image.Bytes()), uintptr(image.Len()), uintptr(unsafe.Pointer(&noParameters[0])))
	if errno != 0 && !errors.Is(errno, syscall.EEXIST) {
		return errno
	}
	return nil
}

// prepareModules either lets the kernel ask for modules, or takes them all away.
func prepareModules(allCapabilities bool) error {
	if allCapabilities {
		return os.WriteFile(modprobeSetting, []byte(modprobeName), 0)
	}
	return os.RemoveAll(modulesDirectory)
}

// Finds the user an image asks for in the image's own /etc/passwd and /etc/group, as container runtimes do.
package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const maxAccountFileBytes = 1 << 20

type account struct {
	uid, gid int
	groups   []uint32
	home     string
}

// lookUpUser takes "", uid, uid:gid, name, name:group and the mixtures of these.
func lookUpUser(wanted string) (account, error) {
	passwd, err := readAccountFile("/etc/passwd")
	if err != nil {
		return account{}, err
	}
	group, err := readAccountFile("/etc/group")
	if err != nil {
		return account{}, err
	}
	return resolveUser(wanted, passwd, group)
}

// readAccountFile takes a missing file as empty: images made from scratch have none.
func readAccountFile(path string) (string, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if os.IsNotExist(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxAccountFileBytes))
	return string(text), err
}

func resolveUser(wanted, passwd, group string) (account, error) {
	name, groupName, hasGroup := strings.Cut(wanted, ":")
	if name == "" {
		name = "0"
	}
	found := account{home: "/"}
	number, isNumber := parseID(name)
	login, known := "", false
	for _, line := range strings.Split(passwd, "\n") {
		fields := strings.Split(line, ":")
		if len(fields) < 6 {
			continue
		}
		uid, okUid := parseID(fields[2])
		gid, okGid := parseID(fields[3])
		if okUid && okGid && (fields[0] == name || isNumber && uid == number) {
			found = account{uid: uid, gid: gid, home: fields[5]}
			login, known = fields[0], true
			break
		}
	}
	if !known {
		if !isNumber {
			return account{}, fmt.Errorf("user %q is not in the image's /etc/passwd", name)
		}
		found.uid = number
	}
	if found.home == "" {
		found.home = "/"
	}
	if hasGroup && groupName != "" {
		gid, err := resolveGroup(groupName, group)
		found.gid = gid
		return found, err
	}
	found.groups = groupsOf(login, found.gid, group)
	return found, nil
}

func resolveGroup(wanted, group string) (int, error) {
	for _, line := range strings.Split(group, "\n") {
		fields := strings.Split(line, ":")
		if len(fields) >= 3 && fields[0] == wanted {
			if gid, ok := parseID(fields[2]); ok {
				return gid, nil
			}
		}
	}
	if gid, ok := parseID(wanted); ok {
		return gid, nil
	}
	return 0, fmt.Errorf("group %q is not in the image's /etc/group", wanted)
}

// groupsOf lists the supplementary groups of a login, its own group first.
func groupsOf(login string, own int, group string) []uint32 {
	groups := []uint32{uint32(own)}
	if login == "" {
		return groups
	}
	for _, line := range strings.Split(group, "\n") {
		fields := strings.Split(line, ":")
		if len(fields) < 4 {
			continue
		}
		gid, ok := parseID(fields[2])
		for _, member := range strings.Split(fields[3], ",") {
			if ok && member == login && gid != own && len(groups) < 1024 {
				groups = append(groups, uint32(gid))
			}
		}
	}
	return groups
}

func parseID(text string) (int, bool) {
	number, err := strconv.ParseUint(text, 10, 31)
	return int(number), err == nil
}

// assume acts on the calling thread, which must be locked and must be the one that executes.
func (a account) assume() error {
	var groups unsafe.Pointer
	if len(a.groups) > 0 {
		groups = unsafe.Pointer(&a.groups[0])
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGROUPS, uintptr(len(a.groups)), uintptr(groups), 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETGID, uintptr(a.gid), 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETUID, uintptr(a.uid), 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// The files that make a clone a machine of its own: machine-id, boot-id, hostname, hosts, resolv.conf.
// They live in a tmpfs of the agent and are bind-mounted into the application's root, so that rewriting
// one in place changes what a running application reads.
package main

import (
	"os"
	"syscall"
	"unsafe"
)

// boundFiles maps each file of the tmpfs to where the application sees it.
var boundFiles = []struct{ name, target string }{
	{"machine-id", "/etc/machine-id"},
	{"hostname", "/etc/hostname"},
	{"hosts", "/etc/hosts"},
	{"resolv.conf", "/etc/resolv.conf"},
	{"boot-id", "/proc/sys/kernel/random/boot_id"},
}

// identity holds the files open: a freshen must not look up paths.
type identity struct {
	machineID, bootID, hostname, hosts int
	scratch                            []byte
	// As last freshened; a VM that wakes as itself has nothing to rewrite, and keeps what the application changed.
	known string
}

func makeIdentity(directory string) (*identity, error) {
	bootID, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, err
	}
	machineID := make([]byte, 0, 33)
	for _, c := range bootID {
		if c != '-' {
			machineID = append(machineID, c)
		}
	}
	made := &identity{scratch: make([]byte, 0, 512)}
	resolver := -1
	contents := []struct {
		name string
		text []byte
		fd   *int
	}{
		{"machine-id", machineID, &made.machineID}, {"boot-id", bootID, &made.bootID},
		{"hostname", nil, &made.hostname}, {"hosts", nil, &made.hosts},
		{"resolv.conf", []byte("nameserver " + gatewayName + "\n"), &resolver},
	}
	for _, file := range contents {
		fd, err := syscall.Open(directory+"/"+file.name, syscall.O_RDWR|syscall.O_CREAT|syscall.O_CLOEXEC, 0o644)
		if err != nil {
			return nil, err
		}
		*file.fd = fd
		if len(file.text) > 0 {
			if err := rewrite(fd, file.text); err != nil {
				return nil, err
			}
		}
	}
	syscall.Close(resolver)
	return made, made.setHostname("waterbear")
}

func (i *identity) setMachineID(id string) error {
	i.scratch = append(append(i.scratch[:0], id...), '\n')
	return rewrite(i.machineID, i.scratch)
}

func (i *identity) setBootID(id string) error {
	i.scratch = append(append(i.scratch[:0], id...), '\n')
	return rewrite(i.bootID, i.scratch)
}

func (i *identity) setHostname(name string) error {
	i.scratch = append(append(i.scratch[:0], name...), '\n')
	if err := syscall.Sethostname(i.scratch[:len(name)]); err != nil {
		return err
	}
	if err := rewrite(i.hostname, i.scratch); err != nil {
		return err
	}
	i.scratch = append(i.scratch[:0], "127.0.0.1\tlocalhost\n"+guestName+"\t"...)
	i.scratch = append(append(i.scratch, name...), '\n')
	return rewrite(i.hosts, i.scratch)
}

// rewrite changes a file in place. Cutting it is the slow part, and needed only when the text became shorter,
// or when the application wrote into the file.
func rewrite(fd int, text []byte) error {
	var about syscall.Stat_t
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PWRITE64, uintptr(fd), pointerTo(text), uintptr(len(text)), 0, 0, 0); errno != 0 {
		return errno
	}
	if _, _, errno := syscall.RawSyscall(syscall.SYS_FSTAT, uintptr(fd), uintptr(unsafe.Pointer(&about)), 0); errno != 0 {
		return errno
	}
	if about.Size == int64(len(text)) {
		return nil
	}
	return syscall.Ftruncate(fd, int64(len(text)))
}

// `freshen`: makes a restored VM a machine of its own before the application runs again.
// Every step is one or two system calls on what is open already: this is on the launch path.
package main

import (
	"encoding/base64"
	"strconv"
	"syscall"
	"unsafe"
)

const (
	rndAddEntropy = 0x40085203
	rndReseedCrng = 0x5207
	entropyBytes  = 64
	everything    = `{"repaired":["entropy","clock","machine-id","boot-id","hostname","sockets"]}`
	sameMachine   = `{"repaired":["entropy","clock","sockets"]}`
)

func (m *machine) freshen(asked *question) (string, *callError) {
	unixNs, err := strconv.ParseInt(asked.UnixNs, 10, 64)
	if err != nil || unixNs < 0 {
		return "", invalid("unixNs %q is not a time", asked.UnixNs)
	}
	if !hexShape(asked.MachineID, 32) {
		return "", invalid("machineId %q is not 32 hexadecimal digits", asked.MachineID)
	}
	if !hexShape(asked.BootID, 36, 8, 13, 18, 23) {
		return "", invalid("bootId %q is not a UUID", asked.BootID)
	}
	if !validHostname(asked.Hostname) {
		return "", invalid("hostname %q is not a host name", asked.Hostname)
	}
	if failure := m.addEntropy(asked.Entropy); failure != nil {
		return "", failure
	}
	if err := setClock(unixNs); err != nil {
		return "", failed("clock: %v", err)
	}
	repaired := sameMachine
	if name := asked.MachineID + asked.BootID + asked.Hostname; name != m.identity.known {
		if failure := m.identify(asked); failure != nil {
			return "", failure
		}
		m.identity.known = name
		repaired = everything
	}
	// A quiesced VM has no outside sockets and nobody who could have made one since.
	if !m.quiesced {
		if _, err := m.sockets.destroyOutside(); err != nil {
			return "", failed("sockets: %v", err)
		}
	}
	return repaired, m.thaw()
}

func (m *machine) identify(asked *question) *callError {
	if err := m.identity.setMachineID(asked.MachineID); err != nil {
		return failed("machine-id: %v", err)
	}
	if err := m.identity.setBootID(asked.BootID); err != nil {
		return failed("boot-id: %v", err)
	}
	if err := m.identity.setHostname(asked.Hostname); err != nil {
		return failed("hostname: %v", err)
	}
	return nil
}

// entropyPool is the kernel's rand_pool_info.
type entropyPool struct {
	creditedBits, size int32
	bytes              [entropyBytes]byte
}

// addEntropy leaves no copy of the seed behind in the agent's memory.
func (m *machine) addEntropy(encoded []byte) *callError {
	var decoded [entropyBytes + 2]byte
	var pool entropyPool
	defer func() {
		decoded, pool = [entropyBytes + 2]byte{}, entropyPool{}
		for i := range encoded {
			encoded[i] = 0
		}
	}()
	if base64.StdEncoding.DecodedLen(len(encoded)) > len(decoded) {
		return invalid("entropy is longer than %d bytes", entropyBytes)
	}
	n, err := base64.StdEncoding.Decode(decoded[:], encoded)
	if err != nil || n != entropyBytes {
		return invalid("entropy is not %d bytes of base64", entropyBytes)
	}
	pool.creditedBits, pool.size = entropyBytes*8, entropyBytes
	copy(pool.bytes[:], decoded[:n])
	if err := ioctl(m.random, rndAddEntropy, unsafe.Pointer(&pool)); err != nil {
		return failed("entropy: %v", err)
	}
	if err := ioctl(m.random, rndReseedCrng, nil); err != nil {
		return failed("reseed: %v", err)
	}
	return nil
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

func setClock(unixNs int64) error {
	at := syscall.NsecToTimespec(unixNs)
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_SETTIME, 0, uintptr(unsafe.Pointer(&at)), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// Finds and destroys TCP sockets that reach outside the VM: after a restore their other ends are gone.
package main

import (
	"fmt"
	"syscall"
)

const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	sockDestroy      = 21
	diagRequestBytes = 56
	diagMessageBytes = 72
	diagIDBytes      = 48
	stateTimeWait    = 6
	stateClose       = 7
	stateListen      = 10
	// What can still exchange packets. The kernel cannot destroy TIME_WAIT; it ends by itself and accepts a new SYN.
	liveStates     = 0x1fff &^ (1<<stateTimeWait | 1<<stateClose | 1<<stateListen | 1)
	destroyRounds  = 4
	netlinkReceive = 32 << 10
)

type socketTable struct {
	fd     int
	buffer []byte
	found  [][diagIDBytes]byte
}

func openSocketTable() (*socketTable, error) {
	fd, err := openNetlink(netlinkSockDiag)
	if err != nil {
		return nil, err
	}
	return &socketTable{fd: fd, buffer: make([]byte, netlinkReceive), found: make([][diagIDBytes]byte, 0, 64)}, nil
}

// destroyOutside returns how many sockets it destroyed, when none is left.
func (t *socketTable) destroyOutside() (int, error) {
	destroyed := 0
	for round := 0; ; round++ {
		left := 0
		for _, family := range [...]byte{syscall.AF_INET, syscall.AF_INET6} {
			if err := t.list(family); err != nil {
				return destroyed, err
			}
			left += len(t.found)
			if round == destroyRounds {
				continue
			}
			for i := range t.found {
				if err := t.destroy(family, &t.found[i]); err != nil && err != syscall.ENOENT {
					return destroyed, fmt.Errorf("destroy socket: %w", err)
				}
				destroyed++
			}
		}
		if left == 0 {
			return destroyed, nil
		}
		if round == destroyRounds {
			return destroyed, fmt.Errorf("%d TCP connections to the outside are left", left)
		}
	}
}

func diagRequest(kind, flags uint16, family byte, states uint32, id []byte) []byte {
	body := make([]byte, diagRequestBytes)
	body[0], body[1] = family, syscall.IPPROTO_TCP
	native.PutUint32(body[4:], states)
	copy(body[8:], id)
	return newNetlinkMessage(kind, flags, body).bytes()
}

// list fills t.found with the sockets of one family whose peer is outside.
func (t *socketTable) list(family byte) error {
	t.found = t.found[:0]
	request := diagRequest(sockDiagByFamily, syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP, family, liveStates, nil)
	if err := syscall.Sendto(t.fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	for {
		n, _, err := syscall.Recvfrom(t.fd, t.buffer, 0)
		if err != nil {
			return fmt.Errorf("socket table: %w", err)
		}
		done, err := t.take(t.buffer[:n])
		if done || err != nil {
			return err
		}
	}
}

func (t *socketTable) take(messages []byte) (done bool, err error) {
	for len(messages) >= syscall.SizeofNlMsghdr {
		length := int(native.Uint32(messages))
		if length < syscall.SizeofNlMsghdr || length > len(messages) {
			return true, syscall.EBADMSG
		}
		body := messages[syscall.SizeofNlMsghdr:length]
		switch native.Uint16(messages[4:]) {
		case syscall.NLMSG_DONE:
			return true, nil
		case syscall.NLMSG_ERROR:
			if err := netlinkVerdict(messages[:length]); err != nil {
				return true, err
			}
		case sockDiagByFamily:
			if len(body) >= diagMessageBytes && !staysInside(body[0], body[4:4+diagIDBytes]) {
				var id [diagIDBytes]byte
				copy(id[:], body[4:])
				t.found = append(t.found, id)
			}
		}
		if length = (length + 3) &^ 3; length > len(messages) {
			length = len(messages)
		}
		messages = messages[length:]
	}
	return false, nil
}

func (t *socketTable) destroy(family byte, id *[diagIDBytes]byte) error {
	request := diagRequest(sockDestroy, syscall.NLM_F_REQUEST|syscall.NLM_F_ACK, family, liveStates, id[:])
	return askNetlink(t.fd, request, t.buffer)
}

// staysInside looks at the peer of an inet_diag_sockid: loopback, or the VM's own address.
func staysInside(family byte, id []byte) bool {
	peer := id[20:36]
	if family == syscall.AF_INET6 {
		for _, zero := range peer[:10] {
			if zero != 0 {
				return false
			}
		}
		if peer[10] == 0 && peer[11] == 0 {
			return string(peer[10:]) == "\x00\x00\x00\x00\x00\x01"
		}
		if peer[10] != 0xff || peer[11] != 0xff {
			return false
		}
		peer = peer[12:]
	}
	return peer[0] == 127 || [4]byte{peer[0], peer[1], peer[2], peer[3]} == guestAddress
}

// The little of netlink that the agent needs: build a message, send it, read the kernel's verdict.
package main

import (
	"encoding/binary"
	"errors"
	"syscall"
)

var native = binary.LittleEndian

type netlinkMessage []byte

// newNetlinkMessage starts a message; its length is filled in by bytes().
func newNetlinkMessage(kind, flags uint16, body []byte) netlinkMessage {
	message := make([]byte, syscall.SizeofNlMsghdr, 128)
	native.PutUint16(message[4:], kind)
	native.PutUint16(message[6:], flags)
	return append(message, body...)
}

func (message netlinkMessage) attribute(kind uint16, value []byte) netlinkMessage {
	var head [4]byte
	native.PutUint16(head[0:], uint16(4+len(value)))
	native.PutUint16(head[2:], kind)
	message = append(append(message, head[:]...), value...)
	for len(message)%4 != 0 {
		message = append(message, 0)
	}
	return message
}

func (message netlinkMessage) bytes() []byte {
	native.PutUint32(message[0:], uint32(len(message)))
	return message
}

func openNetlink(protocol int) (int, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, protocol)
	if err != nil {
		return -1, err
	}
	// The kernel answers within the call; a deadline keeps a surprise from hanging PID 1.
	deadline := syscall.Timeval{Sec: 2}
	if err := syscall.SetsockoptTimeval(fd, syscall.SOL_SOCKET, syscall.SO_RCVTIMEO, &deadline); err != nil {
		syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

// askNetlink sends a message that carries NLM_F_ACK and returns the kernel's verdict.
func askNetlink(fd int, message, buffer []byte) error {
	if err := syscall.Sendto(fd, message, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return err
	}
	n, _, err := syscall.Recvfrom(fd, buffer, 0)
	if err != nil {
		return err
	}
	return netlinkVerdict(buffer[:n])
}

func netlinkVerdict(reply []byte) error {
	if len(reply) < syscall.SizeofNlMsghdr+4 || native.Uint16(reply[4:]) != syscall.NLMSG_ERROR {
		return errors.New("netlink: no verdict in the answer")
	}
	if code := int32(native.Uint32(reply[syscall.SizeofNlMsghdr:])); code != 0 {
		return syscall.Errno(-code)
	}
	return nil
}

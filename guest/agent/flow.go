// One direction of a relayed connection. Bytes that the receiver does not take yet are held, and nothing more is read.
package main

import "syscall"

// Chunks moved before others get their turn.
const flowTurn = 16

type flow struct {
	canRead, canWrite bool
	hangUp            bool // an end may follow the bytes, so a short read does not mean that all was read
	ended             bool // the sender's end was read
	closed            bool // and passed on
	quickAck          bool // the sender waits for acknowledgements between its writes
	held, store       []byte
}

func (f *flow) clear() { *f = flow{store: f.store} }

func (f *flow) mark(canRead, hangUp, canWrite bool) {
	f.canRead = f.canRead || canRead
	f.hangUp = f.hangUp || hangUp
	f.canWrite = f.canWrite || canWrite
}

func (f *flow) hold(text []byte) {
	f.store = append(f.store[:0], text...)
	f.held = f.store
}

// pump moves until one side would block; `busy` when it only gave way.
func (f *flow) pump(from, to int, buffer []byte) (busy bool, err error) {
	for turn := 0; turn < flowTurn; turn++ {
		if len(f.held) > 0 {
			if !f.canWrite {
				return false, nil
			}
			n, err := send(to, f.held)
			if err != nil && !wouldBlock(err) {
				return false, err
			}
			if f.held = f.held[n:]; len(f.held) > 0 {
				f.canWrite = err == syscall.EINTR
				continue
			}
		}
		if f.ended {
			return false, f.passEnd(to)
		}
		if !f.canRead {
			return false, nil
		}
		if err := f.readOnce(from, to, buffer); err != nil {
			return false, err
		}
	}
	return true, nil
}

func (f *flow) readOnce(from, to int, buffer []byte) error {
	n, err := receive(from, buffer)
	if err == syscall.EAGAIN {
		f.canRead = false
		return nil
	}
	if err != nil {
		if err == syscall.EINTR {
			return nil
		}
		return err
	}
	if n == 0 {
		f.ended = true
		return nil
	}
	if f.quickAck && n < len(buffer) {
		acknowledge(from)
	}
	f.canRead = n == len(buffer) || f.hangUp
	sent, err := send(to, buffer[:n])
	if err != nil && !wouldBlock(err) {
		return err
	}
	if sent < n {
		f.canWrite = false
		f.hold(buffer[sent:n])
	}
	return nil
}

func (f *flow) passEnd(to int) error {
	if f.closed {
		return nil
	}
	f.closed = true
	if err := syscall.Shutdown(to, syscall.SHUT_WR); err != nil && err != syscall.ENOTCONN {
		return err
	}
	return nil
}

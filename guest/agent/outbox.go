// What waits to be written to the control port. Answers wait only for a host that is there; the event that the
// application ended waits for any host, and is told again to one that takes over from another, which may have died
// before it read it.
package main

const maxOutboxBytes = 2 * maxLineBytes

type outbox struct {
	fd      int
	waiting []byte
	event   []byte // kept for good
	told    bool   // it was written whole
	inEvent bool   // `waiting` ends with the event
	cut     bool   // a line was cut off; the next one starts on a line of its own
}

// begin returns where to append a line; commit writes it.
func (o *outbox) begin() []byte {
	if len(o.waiting) > maxOutboxBytes {
		o.dropWaiting()
	}
	if o.cut && len(o.waiting) == 0 {
		o.cut = false
		return append(o.waiting, '\n')
	}
	return o.waiting
}

func (o *outbox) commit(lines []byte) {
	o.waiting = lines
	o.flush()
}

func (o *outbox) setEvent(line []byte) {
	o.event = line
	o.flush()
}

func (o *outbox) tellAgain() {
	o.told = false
	o.flush()
}

// flush writes what the port takes; an edge calls it again.
func (o *outbox) flush() {
	if o.event != nil && !o.told && !o.inEvent {
		o.waiting = append(o.begin(), o.event...)
		o.inEvent = true
	}
	sent := 0
	for sent < len(o.waiting) {
		n, err := tryWrite(o.fd, o.waiting[sent:])
		if err != nil || n == 0 {
			break
		}
		sent += n
	}
	if sent == len(o.waiting) {
		if o.inEvent {
			o.told, o.inEvent = true, false
		}
		o.waiting = o.waiting[:0]
		return
	}
	if sent > 0 {
		o.cut = true
		o.waiting = append(o.waiting[:0], o.waiting[sent:]...)
	}
}

// hostGone forgets answers whose asker is no more.
func (o *outbox) hostGone() { o.dropWaiting() }

func (o *outbox) dropWaiting() {
	o.waiting, o.inEvent = o.waiting[:0], false
}

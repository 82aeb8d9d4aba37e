// `quiesce` and `thaw`: what comes before a snapshot, and what undoes it.
package main

import (
	"runtime/debug"
	"strconv"
)

func (m *machine) quiesce() *callError {
	if m.quiesced {
		return nil
	}
	m.relay.pause()
	if err := m.cgroup.freeze(); err != nil {
		m.relay.resume()
		return failed("%v", err)
	}
	if _, err := m.sockets.destroyOutside(); err != nil {
		m.cgroup.thaw()
		m.relay.resume()
		return failed("%v", err)
	}
	m.quiesced = true
	if !m.trimmed {
		// Once, before the image's snapshot. Later it would only write pages that every clone then carries.
		m.trimmed = true
		debug.FreeOSMemory()
	}
	return nil
}

// goOn is for a VM that does not go to sleep after all; with the time, for one that has stood still.
func (m *machine) goOn(asked *question) *callError {
	if asked.UnixNs != "" {
		unixNs, err := strconv.ParseInt(asked.UnixNs, 10, 64)
		if err != nil || unixNs < 0 {
			return invalid("unixNs %q is not a time", asked.UnixNs)
		}
		if err := setClock(unixNs); err != nil {
			return failed("clock: %v", err)
		}
	}
	return m.thaw()
}

func (m *machine) thaw() *callError {
	if err := m.cgroup.thaw(); err != nil {
		return failed("thaw: %v", err)
	}
	m.quiesced = false
	m.relay.resume()
	return nil
}

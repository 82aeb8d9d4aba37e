// `listening`: does anything in the guest listen on a TCP port?
package main

import (
	"bytes"
	"os"
)

const tcpListen = "0A"

func listening(port int) (string, *callError) {
	if port < 1 || port > 65535 {
		return "", invalid("port %d is not 1–65535", port)
	}
	for _, path := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		table, err := os.ReadFile(path)
		if err != nil && !os.IsNotExist(err) {
			return "", failed("%v", err)
		}
		if hasListener(table, port) {
			return `{"listening":true}`, nil
		}
	}
	return `{"listening":false}`, nil
}

// hasListener reads lines of the form `0: 0100007F:1F90 00000000:0000 0A …`.
func hasListener(table []byte, port int) bool {
	const digits = "0123456789ABCDEF"
	suffix := []byte{':', digits[port>>12&15], digits[port>>8&15], digits[port>>4&15], digits[port&15]}
	for len(table) > 0 {
		line := table
		if at := bytes.IndexByte(table, '\n'); at >= 0 {
			line, table = table[:at], table[at+1:]
		} else {
			table = nil
		}
		fields := bytes.Fields(line)
		if len(fields) > 3 && string(fields[3]) == tcpListen && bytes.HasSuffix(fields[1], suffix) {
			return true
		}
	}
	return false
}

package main

import "testing"

const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1
   1: 0200006F0A:2328 00000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 1 1
   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0
   3: short`

func TestListeners(t *testing.T) {
	for port, want := range map[int]bool{8080: true, 80: true, 9000: false, 8081: false, 1: false} {
		if hasListener([]byte(tcpTable), port) != want {
			t.Errorf("port %d", port)
		}
	}
	for _, port := range []int{0, -1, 65536} {
		if _, failure := listening(port); failure == nil || failure.code != "invalid" {
			t.Errorf("port %d was taken", port)
		}
	}
}

// Gives the VM its fixed address. All slots look alike, so a snapshot fits any of them (src/net/slot.ts).
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

var (
	guestAddress   = [4]byte{10, 111, 0, 2}
	gatewayAddress = [4]byte{10, 111, 0, 1}
	gatewayMac     = [6]byte{0x02, 0x57, 0x42, 0, 0, 0x01}
)

const (
	gatewayName    = "10.111.0.1"
	guestName      = "10.111.0.2"
	prefixLength   = 30
	relayPort      = 61999
	change         = syscall.NLM_F_REQUEST | syscall.NLM_F_ACK
	create         = change | syscall.NLM_F_CREATE | syscall.NLM_F_REPLACE
	nudPermanent   = 0x80
	neighbourDst   = 1
	neighbourMac   = 2
	routeTableMain = 254
	routeProtoBoot = 3
)

// What a container runtime sets too: ping and low ports without capabilities. IPv6 is not served.
var networkSettings = [][2]string{
	{"/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"},
	{"/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"},
	{"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"},
	{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
}

// configureNetwork reports whether there is a network card; a VM without one has loopback only.
func configureNetwork() (bool, error) {
	for _, setting := range networkSettings {
		if err := os.WriteFile(setting[0], []byte(setting[1]), 0o644); err != nil {
			complain("setting "+setting[0], err)
		}
	}
	fd, err := openNetlink(syscall.NETLINK_ROUTE)
	if err != nil {
		return false, err
	}
	defer syscall.Close(fd)
	loopback, err := interfaceIndex("lo")
	if err != nil {
		return false, err
	}
	buffer := make([]byte, 4096)
	if err := askNetlink(fd, linkUp(loopback), buffer); err != nil {
		return false, fmt.Errorf("lo: %w", err)
	}
	card, err := interfaceIndex("eth0")
	if err != nil {
		return false, nil
	}
	for _, message := range [][]byte{linkUp(card), addAddress(card), addGateway(card), addDefaultRoute(card)} {
		if err := askNetlink(fd, message, buffer); err != nil {
			return false, fmt.Errorf("eth0: %w", err)
		}
	}
	return true, nil
}

func interfaceIndex(name string) (uint32, error) {
	text, err := os.ReadFile("/sys/class/net/" + name + "/ifindex")
	if err != nil {
		return 0, err
	}
	index, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 31)
	return uint32(index), err
}

func linkUp(index uint32) []byte {
	body := make([]byte, syscall.SizeofIfInfomsg)
	native.PutUint32(body[4:], index)
	native.PutUint32(body[8:], syscall.IFF_UP)
	native.PutUint32(body[12:], syscall.IFF_UP)
	return newNetlinkMessage(syscall.RTM_NEWLINK, change, body).bytes()
}

func addAddress(index uint32) []byte {
	body := make([]byte, syscall.SizeofIfAddrmsg)
	body[0], body[1] = syscall.AF_INET, prefixLength
	native.PutUint32(body[4:], index)
	return newNetlinkMessage(syscall.RTM_NEWADDR, create, body).
		attribute(syscall.IFA_LOCAL, guestAddress[:]).attribute(syscall.IFA_ADDRESS, guestAddress[:]).bytes()
}

// A permanent neighbour: a restored VM never has to ask for, or lose, its gateway's MAC.
func addGateway(index uint32) []byte {
	body := make([]byte, 12)
	body[0] = syscall.AF_INET
	native.PutUint32(body[4:], index)
	native.PutUint16(body[8:], nudPermanent)
	return newNetlinkMessage(syscall.RTM_NEWNEIGH, create, body).
		attribute(neighbourDst, gatewayAddress[:]).attribute(neighbourMac, gatewayMac[:]).bytes()
}

func addDefaultRoute(index uint32) []byte {
	body := make([]byte, syscall.SizeofRtMsg)
	body[0], body[4], body[5], body[7] = syscall.AF_INET, routeTableMain, routeProtoBoot, syscall.RTN_UNICAST
	out := make([]byte, 4)
	native.PutUint32(out, index)
	return newNetlinkMessage(syscall.RTM_NEWROUTE, create, body).
		attribute(syscall.RTA_GATEWAY, gatewayAddress[:]).attribute(syscall.RTA_OIF, out).bytes()
}

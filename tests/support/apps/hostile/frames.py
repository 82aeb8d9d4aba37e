"""Ethernet frames made by hand and put on the wire past the kernel's own rules: whoever has CAP_NET_RAW can."""

import os
import select
import socket
import struct
import time

CARD = "eth0"
OWN_MAC, GATEWAY_MAC, EVERYBODY = "02:57:42:00:00:02", "02:57:42:00:00:01", "ff:ff:ff:ff:ff:ff"
OWN, GATEWAY = "10.111.0.2", "10.111.0.1"
IP4, IP6, ARP, VLAN = 0x0800, 0x86DD, 0x0806, 0x8100


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(payload, kind=IP4, to=GATEWAY_MAC, source=OWN_MAC):
    return mac(to) + mac(source) + struct.pack("!H", kind) + payload


def ip4(to, protocol, body, source=OWN, fragment=0, options=b""):
    words = 5 + len(options) // 4
    head = [0x40 | words, 0, words * 4 + len(body), 7, fragment, 64, protocol]
    ends = socket.inet_aton(source) + socket.inet_aton(to) + options
    bare = struct.pack("!BBHHHBBH", *head, 0) + ends
    return struct.pack("!BBHHHBBH", *head, checksum(bare)) + ends + body


def udp(to, port, text, **more):
    """A checksum of zero means none, in UDP over IPv4."""
    body = text.encode()
    return ip4(to, 17, struct.pack("!HHHH", 40000, port, 8 + len(body), 0) + body, **more)


def syn(to, port, source=OWN, source_port=41000, **more):
    bare = struct.pack("!HHIIHHHH", source_port, port, 1000, 0, 0x5002, 64000, 0, 0)
    pseudo = socket.inet_aton(source) + socket.inet_aton(to) + struct.pack("!HH", 6, 20)
    return ip4(to, 6, bare[:16] + struct.pack("!H", checksum(pseudo + bare)) + bare[18:], source=source, **more)


def ping(to, text, **more):
    bare = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + text.encode()
    return ip4(to, 1, bare[:2] + struct.pack("!H", checksum(bare)) + bare[4:], **more)


def arp(operation, sender_mac, sender, to, target_mac="00:00:00:00:00:00"):
    head = struct.pack("!HHBBH", 1, IP4, 6, 4, operation)
    return head + mac(sender_mac) + socket.inet_aton(sender) + mac(target_mac) + socket.inet_aton(to)


def ip6(to, protocol, body, source="fe80::57:42ff:fe00:2"):
    head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 255)
    return head + socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to) + body


def icmp6(to, kind, body, **more):
    """The checksum is right: a receiver must not drop it for that."""
    bare = struct.pack("!BBH", kind, 0, 0) + body
    source = more.get("source", "fe80::57:42ff:fe00:2")
    ends = socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, to)
    summed = checksum(ends + struct.pack("!II", len(bare), 58) + bare)
    return ip6(to, 58, struct.pack("!BBH", kind, 0, summed) + body, **more)


def wire():
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    opened.bind((CARD, 0))
    return opened


def put(*all_frames):
    """Sends each frame."""
    with wire() as card:
        for frame in all_frames:
            card.send(frame)


def exchange(all_frames, seconds=0.6):
    """Sends the frames; what came back in the time after, described."""
    with wire() as card:
        for frame in all_frames:
            card.send(frame)
        got, end = [], time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([card], [], [], left)[0]:
                break
            frame, where = card.recvfrom(70000)
            if where[2] != socket.PACKET_OUTGOING:
                got.append(shown(frame))
        return got


def shown(frame):
    """`syn-ack 1.2.3.4:80`, `udp …`, `icmp 1.2.3.4 TYPE CODE`, or the kind of the frame."""
    if frame[12:14] != b"\x08\x00":
        return {b"\x08\x06": "arp", b"\x86\xdd": "ip6"}.get(frame[12:14], "other")
    packet = frame[14:]
    body, source = packet[(packet[0] & 15) * 4 :], socket.inet_ntoa(packet[12:16])
    if packet[9] == 1:
        return f"icmp {source} {body[0]} {body[1]}"
    if packet[9] not in (6, 17):
        return f"protocol {packet[9]} {source}"
    name = "udp" if packet[9] == 17 else {18: "syn-ack", 20: "rst", 4: "rst"}.get(body[13] & 23, "tcp")
    return f"{name} {source}:{struct.unpack('!H', body[:2])[0]}"


def flood(frame, seconds):
    """As many as the card takes; how many that were."""
    with wire() as card:
        sent, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(50):
                try:
                    card.send(frame)
                    sent += 1
                except OSError:
                    os.sched_yield()
        return sent

# Does inside a namespace what Node cannot. Lines on standard input and output, frames in hex.
#   tap NAME UID     a guest: sends each line as a frame, prints each frame it gets
#   sniff NAME       an observer: prints each frame on an interface
#   listen PORT      servers: TCP that accepts, UDP that echoes; prints what comes
#   udp              a local process: each line `ADDRESS PORT TEXT` is sent
#   guest TAP NS     a cable from a tap of this namespace to `eth0` of namespace NS, so that NS is a guest with a kernel of its own
#   flood TAP HEX N  sends a frame N times as fast as it can; prints `sent`
#   names ADDRESS    a name server: prints `PEER NAME over`; a name says what it wants: slow, big, wrong, fail, else 198.51.100.9
import ctypes, fcntl, os, socket, struct, sys, threading, time

TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000
TUNSETOFFLOAD, TUN_F_CSUM, TUN_F_TSO4 = 0x400454D0, 1, 2
VNET_HEADER = bytes(10)


def say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def lines():
    for line in sys.stdin:
        if line.strip():
            yield line.strip()


def tap(name, uid):
    device = os.open("/dev/net/tun", os.O_RDWR)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))

    def read():
        while True:
            say(os.read(device, 70000)[len(VNET_HEADER):].hex())

    threading.Thread(target=read, daemon=True).start()
    say("ready")
    for line in lines():
        os.write(device, VNET_HEADER + bytes.fromhex(line))


def sniff(name):
    observer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    observer.bind((name, 0))

    def read():
        while True:
            say(observer.recv(70000).hex())

    threading.Thread(target=read, daemon=True).start()
    say("ready")
    for _ in lines():
        pass


def listen(port):
    server = socket.create_server(("0.0.0.0", port))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO: answer from the address that was asked
    datagrams.bind(("0.0.0.0", port))

    def accept():
        while True:
            say("tcp %s" % server.accept()[1][0])

    def echo():
        while True:
            data, control, _, peer = datagrams.recvmsg(2000, 200)
            say("udp %s %s" % (peer[0], data.decode()))
            asked = control[0][2][4:8]
            datagrams.sendmsg([data], [(socket.IPPROTO_IP, 8, struct.pack("I4s4s", 0, asked, bytes(4)))], 0, peer)

    for task in (accept, echo):
        threading.Thread(target=task, daemon=True).start()
    say("ready")
    for _ in lines():
        pass


def udp():
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    say("ready")
    for line in lines():
        address, port, text = line.split()
        try:
            sender.sendto(text.encode(), (address, int(port)))
            say("sent")
        except OSError as error:
            say("refused %s" % error)


def open_tap(name):
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    # Large segments and open checksums pass in one piece, as with a virtio card.
    fcntl.ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
    return device


def guest(name, namespace):
    outside = open_tap(name)
    with open("/run/netns/" + namespace) as inside_namespace:
        if ctypes.CDLL(None, use_errno=True).setns(inside_namespace.fileno(), 0) != 0:
            raise OSError(ctypes.get_errno(), "setns")
    inside = open_tap("eth0")

    def copy(source, target):
        while True:
            frame = os.read(source, 70000)
            try:
                os.write(target, frame)
            except OSError:
                pass  # The interface is not up yet.

    threading.Thread(target=copy, args=(outside, inside), daemon=True).start()
    threading.Thread(target=copy, args=(inside, outside), daemon=True).start()
    say("ready")
    for _ in lines():
        pass


def flood(name, frame, count):
    device, data = open_tap(name), VNET_HEADER + bytes.fromhex(frame)
    say("ready")
    for _ in lines():
        started = time.monotonic()
        for _ in range(count):
            os.write(device, data)
        say("sent %f" % (time.monotonic() - started))


def names(address):
    def reply(query, over):
        end = 12
        labels = []
        while query[end]:
            labels.append(query[end + 1 : end + 1 + query[end]].decode())
            end += 1 + query[end]
        asked, head = query[12 : end + 5], query[:2]
        say("%s %s" % (".".join(labels), over))
        record = bytes.fromhex("c00c000100010000003c0004c6336409")
        if labels[0] == "slow":
            return None
        if labels[0] == "wrong":
            head = bytes([query[0] ^ 1, query[1]])
        if labels[0] == "fail":
            return head + b"\x81\x82\0\1\0\0\0\0\0\0" + asked
        if labels[0] == "big":
            if over == "udp":
                return head + b"\x83\x80\0\1\0\0\0\0\0\0" + asked
            return head + b"\x81\x80\0\1" + struct.pack(">H", 500) + bytes(4) + asked + record * 500
        return head + b"\x81\x80\0\1\0\1\0\0\0\0" + asked + record

    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((address, 53))
    server = socket.create_server((address, 53))

    def over_udp():
        while True:
            query, peer = datagrams.recvfrom(2000)
            answer = reply(query, "udp")
            if answer:
                datagrams.sendto(answer, peer)

    def over_tcp():
        while True:
            connection = server.accept()[0]
            query = connection.recv(2000)
            answer = reply(query[2:], "tcp")
            connection.sendall(struct.pack(">H", len(answer)) + answer)
            connection.close()

    for task in (over_udp, over_tcp):
        threading.Thread(target=task, daemon=True).start()
    say("ready")
    for _ in lines():
        pass


mode, rest = sys.argv[1], sys.argv[2:]
{
    "tap": lambda: tap(rest[0], int(rest[1])),
    "sniff": lambda: sniff(rest[0]),
    "listen": lambda: listen(int(rest[0])),
    "udp": udp,
    "guest": lambda: guest(*rest),
    "flood": lambda: flood(rest[0], rest[1], int(rest[2])),
    "names": lambda: names(rest[0]),
}[mode]()

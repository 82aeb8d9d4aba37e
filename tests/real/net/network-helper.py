# Does inside a namespace what Node cannot. Lines on standard input and output, frames in hex.
#   tap NAME UID     a guest: sends each line as a frame, prints each frame it gets
#   sniff NAME       an observer: prints each frame on an interface
#   listen PORT      servers: TCP that accepts, UDP that echoes; prints what comes
#   udp              a local process: each line `ADDRESS PORT TEXT` is sent
import fcntl, os, socket, struct, sys, threading

TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454CA, 0x0002, 0x1000, 0x4000
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


mode, rest = sys.argv[1], sys.argv[2:]
{
    "tap": lambda: tap(rest[0], int(rest[1])),
    "sniff": lambda: sniff(rest[0]),
    "listen": lambda: listen(int(rest[0])),
    "udp": udp,
}[mode]()

# What an application in a guest tries on the network; one JSON answer on standard output.
#   tcp ADDRESS PORT            connects: connected, or why not
#   udp ADDRESS PORT TEXT       sends and waits for an echo
#   dns NAME TYPE udp|tcp       asks the gateway: code, addresses, and whether the answer was cut
#   raw HEX udp|tcp             sends bytes to the gateway's port 53: the answer in hex, or none
#   ask COUNT                   as many questions at once; how many were answered within two seconds
#   open ADDRESS PORT COUNT     connections that stay open together; how many came to be
#   listen PORT                 a server: takes one connection, tells how many bytes came and how fast
import errno, json, os, select, socket, struct, sys, time

GATEWAY = ("10.111.0.1", 53)


def attempt(kind, address, port, text=None):
    with socket.socket(socket.AF_INET, kind) as s:
        s.settimeout(3)
        try:
            s.connect((address, port))
            if text is None:
                return "connected"
            s.send(text.encode())
            return s.recv(2000).decode()
        except OSError as e:
            return errno.errorcode.get(e.errno, "timeout") if e.errno else "timeout"


def question(name, kind, number=77):
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + labels + struct.pack(">BHH", 0, kind, 1)


def exchange(message, over):
    if over == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(6)
            s.connect(GATEWAY)
            s.send(message)
            return s.recv(70000)
    with socket.create_connection(GATEWAY, 6) as s:
        s.settimeout(6)
        s.sendall(struct.pack(">H", len(message)) + message)
        stream = s.makefile("rb")
        length = stream.read(2)
        return stream.read(struct.unpack(">H", length)[0]) if len(length) == 2 else b""


def dns(name, kind, over):
    started = time.monotonic()
    answer = exchange(question(name, {"A": 1, "AAAA": 28, "TXT": 16, "PTR": 12}[kind]), over)
    flags, _, count = struct.unpack(">HHH", answer[2:8])
    at, found = 12 + len(question(name, 1)) - 12, []
    for _ in range(count):
        kind, _, _, length = struct.unpack(">HHIH", answer[at + 2 : at + 12])
        data = answer[at + 12 : at + 12 + length]
        found.append(socket.inet_ntop(socket.AF_INET if kind == 1 else socket.AF_INET6, data) if kind in (1, 28) else length)
        at += 12 + length
    return {"code": flags & 15, "cut": bool(flags & 0x200), "found": found, "seconds": time.monotonic() - started}


def ask(count):
    sockets = []
    for number in range(count):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.connect(GATEWAY)
        s.send(question("localhost", 1, number))
        sockets.append(s)
    answered, until = 0, time.monotonic() + 2
    while sockets and time.monotonic() < until:
        ready = select.select(sockets, [], [], 0.1)[0]
        answered += len(ready)
        sockets = [s for s in sockets if s not in ready]
    return answered


def hold(address, port, count):
    pending, held = select.poll(), []
    for _ in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex((address, port))
        pending.register(s, select.POLLOUT)
        held.append(s)
    until, done = time.monotonic() + 4, set()
    while time.monotonic() < until and len(done) < count:
        for fd, _ in pending.poll(200):
            done.add(fd)
            pending.unregister(fd)
    return sum(1 for s in held if s.fileno() in done and s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0)


def listen(port):
    server = socket.create_server(("10.111.0.2", port))
    print("ready", flush=True)
    server.settimeout(60)
    s, total = server.accept()[0], 0
    started = time.monotonic()
    while data := s.recv(1 << 20):
        total += len(data)
    return {"bytes": total, "seconds": time.monotonic() - started}


def raw(message, over):
    try:
        return exchange(bytes.fromhex(message), over).hex() or "none"
    except OSError:
        return "none"


mode, rest = sys.argv[1], sys.argv[2:]
print(json.dumps({
    "tcp": lambda: attempt(socket.SOCK_STREAM, rest[0], int(rest[1])),
    "udp": lambda: attempt(socket.SOCK_DGRAM, rest[0], int(rest[1]), rest[2]),
    "dns": lambda: dns(*rest),
    "raw": lambda: raw(*rest),
    "ask": lambda: ask(int(rest[0])),
    "open": lambda: hold(rest[0], int(rest[1]), int(rest[2])),
    "listen": lambda: listen(int(rest[0])),
}[mode]()))

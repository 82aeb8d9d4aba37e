"""Connections as any program makes them."""

import errno
import resource
import selectors
import socket
import struct
import time


def scan(targets, seconds=1.5):
    """Dials all (address, port) at once; those that answered, and those that said no by themselves."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, most), most))
    waiting, found = selectors.DefaultSelector(), {"connected": [], "refused": [], "silent": 0}

    def settle(code, address, port):
        if code in (0, errno.ECONNREFUSED):
            found["refused" if code else "connected"].append(f"{address}:{port}")
        else:
            found["silent"] += 1

    for target in targets:
        one = socket.socket()
        one.setblocking(False)
        code = one.connect_ex(tuple(target))
        if code == errno.EINPROGRESS:
            waiting.register(one, selectors.EVENT_WRITE, target)
        else:
            settle(code, *target)
            one.close()
    end = time.monotonic() + seconds
    while waiting.get_map() and (left := end - time.monotonic()) > 0:
        for key, _ in waiting.select(left):
            waiting.unregister(key.fileobj)
            settle(key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), *key.data)
            key.fileobj.close()
    for key in list(waiting.get_map().values()):
        found["silent"] += 1
        key.fileobj.close()
    return found


def tcp(address, port, seconds=5):
    """`connected`, or the name of what went wrong."""
    try:
        socket.create_connection((address, port), seconds).close()
        return "connected"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def say(address, port, text, seconds=0.6):
    """One datagram; the answer, `silence`, or the name of what went wrong."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        one.settimeout(seconds)
        try:
            one.connect((address, port))
            one.send(text.encode() if isinstance(text, str) else text)
            return one.recv(4096).hex()
        except TimeoutError:
            return "silence"
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))


def question(name, kind=1, number=0x1234, flags=0x0100, count=1):
    """A question to a name server."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part)
    return struct.pack("!HHHHHH", number, flags, count, 0, 0, 0) + labels + b"\0" + struct.pack("!HH", kind, 1)


def raw(protocol, address, body):
    """A packet of any IP protocol, through the kernel."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol) as one:
        try:
            one.sendto(body, (address, 0))
            return "sent"
        except OSError as error:
            return errno.errorcode.get(error.errno, str(error))

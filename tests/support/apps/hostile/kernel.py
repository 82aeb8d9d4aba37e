"""System calls and files that are no business of an application. Each try tells `ok` or the name of the error."""

import ctypes
import errno
import glob
import mmap
import os
import random
import socket
import stat

_libc = ctypes.CDLL(None, use_errno=True)
_NUMBERS = {"mount": 165, "umount2": 166, "ptrace": 101, "init_module": 175, "finit_module": 313, "kexec_load": 246}
_NUMBERS |= {"reboot": 169, "settimeofday": 164, "sethostname": 170, "iopl": 172, "ioperm": 173, "bpf": 321, "setns": 308}
_NUMBERS |= {"perf_event_open": 298, "syslog": 103, "unshare": 272, "swapon": 167, "acct": 163, "open_by_handle_at": 304}
_NUMBERS |= {"pivot_root": 155, "process_vm_readv": 310, "pidfd_open": 434, "fsopen": 430, "add_key": 248, "keyctl": 250}


def call(name, *arguments):
    """A system call with numbers, bytes and None as arguments."""
    ctypes.set_errno(0)
    given = [ctypes.c_char_p(a) if a is None or isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result = _libc.syscall(_NUMBERS[name], *given)
    return "ok" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "unknown")


def attempt(work):
    """What `work` gives; else the name of its error."""
    try:
        value = work()
        return "ok" if value is None else value
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def read(path, count=4096):
    def work():
        with open(path, "rb", buffering=0) as file:
            return (file.read(count) or b"").decode("latin1")

    return attempt(work)


def write(path, text):
    def work():
        with open(path, "wb", buffering=0) as file:
            file.write(text.encode())

    return attempt(work)


def node(path, kind, major, minor, flags=os.O_RDWR, use=False):
    """Makes a device node and opens it, with `use` also writes to it: how far that went."""

    def work():
        if os.path.lexists(path):
            os.unlink(path)
        os.mknod(path, {"c": stat.S_IFCHR, "b": stat.S_IFBLK}[kind] | 0o600, os.makedev(major, minor))
        try:
            fd = os.open(path, flags | os.O_NONBLOCK)
            if use:
                os.write(fd, b"\n")
            os.close(fd)
        finally:
            os.unlink(path)

    return attempt(work)


def majors():
    """Names of drivers to their major numbers, as /proc/devices has them."""
    pairs = [line.split() for line in open("/proc/devices")]
    return {pair[1]: int(pair[0]) for pair in pairs if len(pair) == 2 and pair[0].isdigit()}


def capabilities(pid="self"):
    lines = [line.split(":\t") for line in open(f"/proc/{pid}/status")]
    return {key: value.strip() for key, value in lines if key.startswith("Cap")}


def vsock(cid, port):
    def work():
        with socket.socket(40, socket.SOCK_STREAM) as one:
            one.settimeout(1)
            one.connect((cid, port))

    return attempt(work)


def escape_chroot():
    """The old trick: a root below the working directory, then up. What is seen at the top."""
    os.makedirs("/tmp/cell", exist_ok=True)
    top = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/cell")
    os.fchdir(top)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return sorted(os.listdir("/"))


_code = []


def port_out():
    """A function (port, value) that writes to the machine's I/O ports, in machine code: mov edx,edi; mov eax,esi; out dx,al; ret."""
    if (how := call("iopl", 3)) != "ok":
        raise OSError(how)
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("89fa89f0eec3"))
    _code.append(page)
    return ctypes.CFUNCTYPE(None, ctypes.c_uint, ctypes.c_uint)(ctypes.addressof(ctypes.c_char.from_buffer(page)))


def poke_devices(count, seed):
    """Random writes into the registers of all PCI devices; how many that were."""
    random.seed(seed)
    did = 0
    for path in sorted(glob.glob("/sys/bus/pci/devices/*/resource[0-9]")):
        try:
            with open(path, "r+b", buffering=0) as file:
                page = mmap.mmap(file.fileno(), min(os.path.getsize(path), 65536))
        except (OSError, ValueError):
            continue
        for _ in range(count):
            at = random.randrange(len(page) // 4) * 4
            page[at : at + 4] = os.urandom(4)
            did += 1
    return did

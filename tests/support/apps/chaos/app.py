"""An application that can prove what it has kept: marks in memory and in a synced file, a megabyte that every mark changes, and ticks that never stop."""

import hashlib
import http.server
import json
import os
import threading
import time

FILE = "/var/tmp/marks"
BULK = "/var/tmp/bulk"
TICK = 0.1
NOTED = 0.4

lock = threading.Lock()
marks = []
bulk = {"memory": bytearray(), "memorySum": "", "fileSum": ""}
gaps = []
ticks = 0


def make_pattern():
    """1 MiB that anybody can make again: tests/chaos/pattern.ts does."""
    return bytearray(b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(32768)))


pattern = make_pattern()


def stamp(mark):
    digest = hashlib.sha256(b"mark %d" % mark).digest()
    at = (mark * 4099) % (len(pattern) - len(digest))
    pattern[at : at + len(digest)] = digest


def tick():
    global ticks
    before, wall_before = time.monotonic(), time.time()
    while True:
        time.sleep(TICK)
        now, wall = time.monotonic(), time.time()
        if now - before > NOTED or abs(wall - wall_before) > NOTED:
            gaps.append({"atMs": before * 1000, "monotonicMs": (now - before) * 1000, "wallMs": (wall - wall_before) * 1000})
            del gaps[:-100]
        ticks += 1
        before, wall_before = now, wall


def times():
    return {"monotonicMs": time.monotonic() * 1000, "wallMs": time.time() * 1000, "ticks": ticks}


def add(mark):
    with lock:
        marks.append(mark)
        stamp(mark)
        with open(FILE, "a") as file:
            file.write("%d\n" % mark)
            file.flush()
            os.fsync(file.fileno())
        return {"marks": len(marks), **times()}


def written():
    """Bytes that the kernel has written to the disk since its first boot, sleeps included."""
    return int(open("/sys/block/vda/stat").read().split()[6]) * 512


def state():
    with lock:
        kept = open(FILE).read() if os.path.exists(FILE) else ""
        return {
            "marks": marks,
            "file": [int(line) for line in kept.split()],
            "pattern": hashlib.sha256(pattern).hexdigest(),
            "gaps": gaps,
            "writtenBytes": written(),
            **times(),
        }


def sum_of(chunks):
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def file_chunks():
    with open(BULK, "rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def fill(mib):
    """So much random memory and a random file as large; neither compresses."""
    with lock:
        bulk["memory"] = bytearray(os.urandom(mib << 20))
        with open(BULK, "wb") as file:
            for _ in range(mib):
                file.write(os.urandom(1 << 20))
            file.flush()
            os.fsync(file.fileno())
        bulk["memorySum"], bulk["fileSum"] = sum_of([bulk["memory"]]), sum_of(file_chunks())
        return {"memorySum": bulk["memorySum"], "fileSum": bulk["fileSum"]}


def verify():
    """Reads all of it again. The file comes from the disk: what is cached is dropped before."""
    with lock:
        descriptor = os.open(BULK, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
        return {"memorySum": sum_of([bulk["memory"]]), "fileSum": sum_of(file_chunks()), "bytes": len(bulk["memory"])}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(verify() if self.path == "/verify" else state())

    def do_POST(self):
        number = int(self.rfile.read(int(self.headers["content-length"])))
        self.answer(fill(number) if self.path == "/fill" else add(number))

    def log_message(self, *arguments):
        pass


threading.Thread(target=tick, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()

"""An application whose state can be checked: a counter and a buffer in memory, a file on disk, and a thread that never stops looking at who it is."""

import hashlib
import http.server
import json
import os
import socket
import threading
import time

count = 0
lock = threading.Lock()
buffer = bytearray(os.urandom(1 << 20))
samples = []
PATH = "/var/tmp/state.bin"


def read(path):
    with open(path) as file:
        return file.read().strip()


def identity():
    return {
        "machineId": read("/etc/machine-id"),
        "bootId": read("/proc/sys/kernel/random/boot_id"),
        "hostname": socket.gethostname(),
    }


def sample():
    while True:
        samples.append({"random": os.urandom(16).hex(), "time": time.time(), **identity()})
        time.sleep(0.05)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        global count
        if self.path == "/samples":
            return self.answer(samples)
        if self.path == "/slow":
            time.sleep(60)
        if self.path == "/drip":
            self.send_response(200)
            self.send_header("content-length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()
            time.sleep(60)
            return None
        if self.path == "/exit":
            os._exit(7)
        with lock:
            count += 1
            now = count
        file = open(PATH, "rb").read() if os.path.exists(PATH) else b""
        return self.answer(
            {
                "count": now,
                "buffer": hashlib.sha256(buffer).hexdigest(),
                "file": hashlib.sha256(file).hexdigest(),
                "fileBytes": len(file),
                "time": time.time(),
                "monotonic": time.monotonic(),
                **identity(),
            }
        )

    def do_POST(self):
        """Changes a part of the buffer and appends to the file; tells the new checksums."""
        data = self.rfile.read(int(self.headers["content-length"]))
        for i in range(0, len(buffer), 65536):
            buffer[i : i + len(data)] = data
        with open(PATH, "ab") as file:
            file.write(os.urandom(50_000) + data)
        self.do_GET()

    def log_message(self, *arguments):
        pass


threading.Thread(target=sample, daemon=True).start()
# Bound to loopback on purpose: the relay must reach it there, and it must see a loopback peer.
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()

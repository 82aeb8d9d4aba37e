"""An application that never stops printing, ticks every 100 ms, and knows the longest time it was kept from it; with a counter, a buffer and a file."""

import hashlib
import http.server
import json
import os
import threading
import time

count = 0
ticks = 0
longest = 0.0
buffer = os.urandom(4 << 20)
PATH = "/var/tmp/file.bin"
with open(PATH, "wb") as file:
    file.write(os.urandom(1 << 20))


def tick():
    global ticks, longest
    last = time.time()
    while True:
        time.sleep(0.1)
        now = time.time()
        longest = max(longest, now - last)
        last = now
        ticks += 1


def talk():
    while True:
        print("x" * 1000)
        time.sleep(0.01)


def fill():
    with open("/var/tmp/more.bin", "wb") as more:
        more.write(os.urandom(32 << 20))
        more.flush()
        os.fsync(more.fileno())


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global count, longest
        if self.path == "/fill":
            threading.Thread(target=fill, daemon=True).start()
        if self.path == "/begin":
            longest = 0.0
        count += 1
        digest = hashlib.sha256(buffer + open(PATH, "rb").read()).hexdigest()
        body = json.dumps({"count": count, "ticks": ticks, "longest": longest, "digest": digest, "time": time.time()})
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())
        if self.path == "/exit":
            threading.Timer(1.0, lambda: os._exit(7)).start()

    def log_message(self, *arguments):
        pass


for work in (tick, talk):
    threading.Thread(target=work, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()

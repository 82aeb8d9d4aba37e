"""An application that shows each of its processors at work: one process pinned to each, which counts."""

import http.server
import json
import mmap
import os
import struct
import subprocess
import time

processors = sorted(os.sched_getaffinity(0))
counters = mmap.mmap(-1, 8 * len(processors))


def count(index, processor):
    os.sched_setaffinity(0, {processor})
    while True:
        struct.pack_into("q", counters, 8 * index, struct.unpack_from("q", counters, 8 * index)[0] + 1)
        time.sleep(0.01)


for index, processor in enumerate(processors):
    if os.fork() == 0:
        count(index, processor)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        state = {
            "nproc": int(subprocess.check_output(["nproc"])),
            "counts": list(struct.unpack(f"{len(processors)}q", counters[:])),
        }
        body = json.dumps(state).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Handler).serve_forever()

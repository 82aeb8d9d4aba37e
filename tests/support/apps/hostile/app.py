"""An application that does what its host orders: Python from a request, run as root or as another user in a process of its own.

POST /run {source, timeoutMs, user} -> {status, answer, output, timedOut}. The source finds the names of frames.py, dial.py and
kernel.py; `answer(value)` sets the answer. GET /ping tells that it is alive, GET /came what reached its ports from outside.
"""

import http.server
import json
import os
import signal
import socket
import threading
import time
import traceback

import dial
import frames
import hooks
import kernel

MAX_OUTPUT = 256 << 10
NAMES = {name: value for part in (frames, dial, kernel) for name, value in vars(part).items() if name[0] != "_"}
came = []


def child(order, answers, output):
    """Never returns: runs the source in a forked process, its answer and output in two pipes."""
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    status = 0
    try:
        if order.get("user"):
            os.setgroups([])
            os.setresgid(*[order["user"]] * 3)
            os.setresuid(*[order["user"]] * 3)
        give = lambda value: os.write(answers, json.dumps(value).encode())
        exec(compile(order["source"], "attack", "exec"), {**NAMES, "answer": give})
    except SystemExit as end:
        status = end.code or 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
        status = 1
    os._exit(status)


def collect(fd, end):
    """What comes out of a pipe until it is closed or the deadline is over; the first MAX_OUTPUT bytes of it."""
    kept = b""
    os.set_blocking(fd, False)
    while time.monotonic() < end:
        try:
            piece = os.read(fd, 65536)
            if not piece:
                break
            kept = (kept + piece)[:MAX_OUTPUT]
        except BlockingIOError:
            time.sleep(0.005)
    os.close(fd)
    return kept


def run(order):
    answer_read, answer_write = os.pipe()
    output_read, output_write = os.pipe()
    end = time.monotonic() + order.get("timeoutMs", 10000) / 1000
    pid = os.fork()
    if pid == 0:
        child(order, answer_write, output_write)
    os.close(answer_write)
    os.close(output_write)
    texts = {}
    reader = threading.Thread(target=lambda: texts.update(output=collect(output_read, end)))
    reader.start()
    answer = collect(answer_read, end)
    timed_out = time.monotonic() >= end
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    reader.join()
    output = texts["output"].decode("utf8", "replace")
    return {"status": status, "answer": json.loads(answer or b"null"), "output": output, "timedOut": timed_out}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, value):
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/came":
            return self.reply(came)
        if self.path.startswith("/bomb/"):
            return hooks.bomb(self.path[6:], self.connection)
        return self.reply({"alive": time.monotonic()})

    def do_POST(self):
        self.reply(run(json.loads(self.rfile.read(int(self.headers["content-length"])))))

    def log_message(self, *arguments):
        pass


def canary(kind, port):
    """Notes who comes to a port that is open on every address: nobody but this VM itself ever should."""
    if kind == "tcp":
        server = socket.create_server(("0.0.0.0", port))
        while True:
            connection, peer = server.accept()
            came.append(["tcp", peer[0]])
            connection.close()
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("0.0.0.0", port))
    while True:
        text, peer = server.recvfrom(2000)
        came.append(["udp", peer[0], text.decode("utf8", "replace")])


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 512


for kind in ("tcp", "udp"):
    threading.Thread(target=canary, args=(kind, 7070), daemon=True).start()
threading.Thread(target=hooks.serve, args=(9000,), daemon=True).start()
Server(("127.0.0.1", 8080), Handler).serve_forever()

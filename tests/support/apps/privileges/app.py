"""Runs what it is sent, as root or as another user, and tells what came of it: tests look at a VM from inside with this."""

import ctypes
import errno
import http.server
import json
import os
import signal
import subprocess
import traceback

libc = ctypes.CDLL(None, use_errno=True)


def syscall(number, *arguments):
    """A raw system call; raises OSError."""
    values = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *values)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def attempt(function, *arguments):
    """The name of the error, or what the function returned."""
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


def run_python(code, uid):
    """Runs code in a child of its own and returns its variable `result`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(60)
            if uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            names = {"syscall": syscall, "attempt": attempt, "libc": libc, "os": os}
            exec(code, names)
            answer = {"result": names.get("result")}
        except BaseException:
            answer = {"failure": traceback.format_exc()}
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    return json.loads(text) if text else {"failure": f"ended with status {status}"}


def run_command(argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, text=True, errors="replace")
    return {"result": {"code": done.returncode, "out": done.stdout, "err": done.stderr}}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        try:
            answer = run_command(order["argv"]) if "argv" in order else run_python(order["code"], order.get("uid", 0))
        except Exception:
            answer = {"failure": traceback.format_exc()}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


# One at a time: a fork of a process with threads would be a game of chance.
http.server.HTTPServer(("127.0.0.1", 8080), Handler).serve_forever()

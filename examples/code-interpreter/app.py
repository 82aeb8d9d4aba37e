"""A stateful Python code interpreter over HTTP, standard library only.

POST /execute {"code": "...", "timeoutSeconds": 60}  → stdout, stderr, result, error, executionCount
GET|PUT /files/<name>, GET /files                    → files of the workspace
GET /                                                → health
"""

import http.client
import os
import platform
import socket
import threading

from files import list_files, read_file, write_file
from hooks import Life, hooks_for
from session import Busy, Session
from web import Handler, Refusal, Server

WORKSPACE = os.environ.get("WORKSPACE", "/workspace")
PORT = int(os.environ.get("PORT", "8080"))
HOOK_PORT = int(os.environ.get("HOOK_PORT", "9000"))
MAX_TIMEOUT_SECONDS = 3600
DEFAULT_TIMEOUT_SECONDS = 60

session = Session()
life = Life()


def health(_handler):
    return {
        "status": "ok",
        "microvmId": life.microvm_id,
        "hostname": socket.gethostname(),
        "python": platform.python_version(),
        "executionCount": session.execution_count,
        "busy": session.busy,
        "resumes": life.resumes,
    }


def execute(handler):
    body = handler.json_body()
    code, timeout = body.get("code"), body.get("timeoutSeconds", DEFAULT_TIMEOUT_SECONDS)
    if not isinstance(code, str):
        raise Refusal(400, '"code" must be a string.')
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= MAX_TIMEOUT_SECONDS:
        raise Refusal(400, f'"timeoutSeconds" must be a number above 0 and up to {MAX_TIMEOUT_SECONDS}.')
    try:
        return session.submit(code, timeout)
    except Busy as busy:
        raise Refusal(429, str(busy)) from None


class App(Handler):
    routes = {
        ("GET", "/"): health,
        ("POST", "/execute"): execute,
        ("GET", "/files"): lambda _handler: list_files(WORKSPACE),
    }

    def fallback(self):
        path = self.path.split("?")[0]
        if path.startswith("/files/") and self.command == "GET":
            return read_file(WORKSPACE, path[len("/files/") :])
        if path.startswith("/files/") and self.command == "PUT":
            return write_file(WORKSPACE, path[len("/files/") :], self.body())
        return super().fallback()


def serve_in_background(address, handler):
    server = Server(address, handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def warm_up():
    """Goes once through everything a first request needs, so that the snapshot holds it ready."""
    # On a port of its own: without the ready hook, the snapshot is taken as soon as something listens on 8080.
    server = serve_in_background(("127.0.0.1", 0), App)
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    for method, path, body in [("GET", "/", None), ("POST", "/execute", '{"code": "print(1); x = 6 * 7; x"}')]:
        connection.request(method, path, body)
        connection.getresponse().read()
    connection.close()
    server.shutdown()
    server.server_close()
    session.reset()


def open_up():
    warm_up()
    serve_in_background(("0.0.0.0", PORT), App)
    life.warm = True


def main():
    os.makedirs(WORKSPACE, exist_ok=True)
    os.chdir(WORKSPACE)
    serve_in_background(("0.0.0.0", HOOK_PORT), hooks_for(life))
    threading.Thread(target=open_up, daemon=True).start()
    session.serve()


if __name__ == "__main__":
    main()

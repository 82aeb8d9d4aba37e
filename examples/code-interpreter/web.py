"""What both HTTP servers share: JSON in and out, limits, quiet logs."""

import json
import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY_BYTES = 16 * 1024 * 1024
SOCKET_TIMEOUT_SECONDS = 60


class Refusal(Exception):
    """An answer other than 200."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def server_bind(self):
        # HTTPServer would look its own name up in DNS, which may take long.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request, client_address):
        # A client that went away is nothing to report.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Subclasses have `routes`: (method, path) → function of the handler; `fallback` takes the rest."""

    protocol_version = "HTTP/1.1"
    server_version = "code-interpreter"
    timeout = SOCKET_TIMEOUT_SECONDS
    # One packet for head and body.
    wbufsize = -1
    disable_nagle_algorithm = True
    routes = {}

    def do_GET(self):
        self._answer()

    do_POST = do_PUT = do_GET

    def fallback(self):
        raise Refusal(404, f"There is nothing at {self.command} {self.path}.")

    def _answer(self):
        self.body_read = False
        try:
            route = self.routes.get((self.command, self.path.split("?")[0]))
            answer = route(self) if route else self.fallback()
            if answer is not None:
                self.send(200, answer)
        except Refusal as refusal:
            self.send(refusal.status, {"message": str(refusal)})
        self.wfile.flush()

    def send(self, status, answer):
        """Answers with JSON, or with bytes as they are."""
        raw = isinstance(answer, bytes)
        data = answer if raw else json.dumps(answer).encode()
        # An unread body would be taken for the next request.
        if not self.body_read and self.headers.get("content-length", "0") != "0":
            self.close_connection = True
        self.send_response(status)
        self.send_header("content-type", "application/octet-stream" if raw else "application/json")
        self.send_header("content-length", str(len(data)))
        if self.close_connection:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def body(self):
        """The request's body, up to the limit."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            self.close_connection = True
            raise Refusal(411, "Send a body with a Content-Length.")
        if len(length) > 12 or int(length) > MAX_BODY_BYTES:
            raise Refusal(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
        data = self.rfile.read(int(length))
        self.body_read = True
        return data

    def json_body(self):
        """The body as a JSON object; an empty one when there is no body."""
        try:
            value = json.loads(self.body() or b"{}")
        except (ValueError, RecursionError):
            raise Refusal(400, "The body is not JSON.") from None
        if not isinstance(value, dict):
            raise Refusal(400, "The body must be a JSON object.")
        return value

    def log_message(self, format, *arguments):
        pass

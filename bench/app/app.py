"""Counts requests: the smallest stateful application, the same for the floor and for Waterbear.

`/ready` answers a few requests of its own first, as an image should: what ran before the snapshot is warm in every VM.
"""

import http.client
import http.server
import time

count = 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        global count
        count += 1
        self.answer(f"{count} {time.time()}".encode())

    def do_POST(self):
        for _ in range(3):
            own = http.client.HTTPConnection("127.0.0.1", 8080)
            own.request("GET", "/")
            own.getresponse().read()
            own.close()
        self.answer(b"")

    def answer(self, body):
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()

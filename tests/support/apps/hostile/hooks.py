"""Answers that no honest application gives: to lifecycle hooks, by the mode that the first one named, and to requests."""

import json
import socket
import threading
import time

mode = {"run": "ok", "resume": "ok", "suspend": "ok", "terminate": "ok"}
HEAD = b"HTTP/1.1 200 OK\r\n"


def pour(connection, piece, seconds=20):
    """The same piece until the other side has had enough."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.sendall(piece)


def bomb(kind, connection):
    """One hostile answer to whatever was asked."""
    try:
        _bomb(kind, connection)
    except OSError:
        pass
    finally:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def _bomb(kind, connection):
    if kind == "garbage":
        connection.sendall(b"\0\xff\x80<<<not http>>>\x1b[2J\n" * 50)
    elif kind == "silence":
        time.sleep(30)
    elif kind == "redirect":
        connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9100/\r\nContent-Length: 0\r\n\r\n")
    elif kind == "headers":
        connection.sendall(HEAD)
        pour(connection, b"x-filler: " + b"a" * 8000 + b"\r\n")
    elif kind == "status":
        pour(connection, b"HTTP/1.1 200 " + b"k" * 60000)
    elif kind == "interim":
        pour(connection, b"HTTP/1.1 100 Continue\r\n\r\n" * 500)
    elif kind == "body":
        connection.sendall(HEAD + b"Content-Length: 99999999999\r\n\r\n")
        pour(connection, b"b" * 65536)
    elif kind == "chunks":
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        pour(connection, b"1\r\nc\r\n" * 8000)
    elif kind == "chunk-size":
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n" + b"c" * 1000)
    elif kind == "lengths":
        connection.sendall(HEAD + b"Content-Length: 5\r\nContent-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\nhello")
    elif kind == "extra":
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen")
    elif kind == "split":
        connection.sendall(HEAD + b"x-a: 1\rset-cookie: stolen=1\r\nContent-Length: 2\r\n\r\nok")
    elif kind == "drip":
        connection.sendall(HEAD)
        for _ in range(30):
            connection.sendall(b"x")
            time.sleep(1)
    else:
        connection.sendall(HEAD + b"Content-Length: 2\r\n\r\nok")


def take(connection):
    try:
        request = connection.recv(65536)
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        name = request.split(b" ")[1].rsplit(b"/", 1)[1].decode()
        body = request.split(b"\r\n\r\n", 1)[1]
        if name == "run" and body:
            mode.update(json.loads(json.loads(body).get("runHookPayload") or "{}"))
        bomb(mode.get(name, "ok"), connection)
    except (OSError, ValueError, IndexError):
        pass
    finally:
        connection.close()


def serve(port):
    """The hook port. A payload such as {"suspend": "garbage"} sets what is answered from then on."""
    server = socket.create_server(("127.0.0.1", port))
    while True:
        threading.Thread(target=take, args=(server.accept()[0],), daemon=True).start()

"""Answers lifecycle hooks as the environment says, and tells who asked for what: in memory, on disk and on its output.

HOOKS is JSON: answers by hook, one for each call and the last one for all later ones. An answer is a status, or "silence".
"""

import http.server
import json
import os
import threading
import time

ANSWERS = json.loads(os.environ.get("HOOKS", "{}"))
PREFIX = "/aws/lambda-microvms/runtime/v1/"
PATH = "/var/tmp/calls"
calls = []
lock = threading.Lock()


def read(path):
    with open(path) as file:
        return file.read().strip()


def answer_of(name):
    answers = ANSWERS.get(name, [200])
    return answers[min(sum(call["name"] == name for call in calls), len(answers)) - 1]


class Hooks(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        name = self.path.removeprefix(PREFIX)
        headers = {key.lower(): value for key, value in self.headers.items()}
        with lock:
            calls.append({"name": name, "body": body, "headers": headers, "bootId": read("/proc/sys/kernel/random/boot_id")})
            with open(PATH, "a") as file:
                file.write(name + "\n")
            print("asked", json.dumps({"name": name, "bootId": calls[-1]["bootId"], "calls": len(calls)}))
            answer = answer_of(name)
        if answer == "silence":
            time.sleep(600)
        self.send_response(answer)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


class State(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"calls": calls, "file": read(PATH).split("\n")}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


threading.Thread(target=http.server.ThreadingHTTPServer(("127.0.0.1", 8080), State).serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Hooks).serve_forever()

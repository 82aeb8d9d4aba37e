"""One Python session: variables that persist from cell to cell, captured output, a time limit.

Cells run on the main thread, one at a time, so that signals, asyncio and timers work as in a script,
while other threads keep answering health checks.
"""

import ast
import io
import linecache
import queue
import signal
import sys
import threading
import time
import traceback

MAX_OUTPUT_CHARS = 256 * 1024
MAX_WAITING_CELLS = 16


class Busy(Exception):
    """Too many cells are waiting."""


class CellTimeout(BaseException):
    """Raised inside a cell that ran for too long. Not an Exception, so that `except Exception` in a cell lets it pass."""


class BoundedOutput(io.TextIOBase):
    """Keeps the first `limit` characters and says when there were more."""

    def __init__(self, limit=MAX_OUTPUT_CHARS):
        self.parts, self.left, self.dropped = [], limit, 0

    def writable(self):
        return True

    def write(self, text):
        kept = text[: self.left]
        self.left -= len(kept)
        self.dropped += len(text) - len(kept)
        if kept:
            self.parts.append(kept)
        return len(text)

    def text(self):
        more = f"\n[{self.dropped} more characters were dropped]" if self.dropped else ""
        return "".join(self.parts) + more


class Cell:
    """One piece of code on its way through the session."""

    def __init__(self, code, timeout_seconds):
        self.code, self.timeout_seconds = code, timeout_seconds
        self.answer, self.done = None, threading.Event()


class Session:
    def __init__(self):
        self.busy = False
        self.waiting = queue.Queue(MAX_WAITING_CELLS)
        self.reset()

    def reset(self):
        self.execution_count = 0
        self.variables = {"__name__": "__main__", "__builtins__": __builtins__}

    def submit(self, code, timeout_seconds):
        """Called by any thread: waits for its turn and for the result."""
        cell = Cell(code, timeout_seconds)
        try:
            self.waiting.put_nowait(cell)
        except queue.Full:
            raise Busy(f"{MAX_WAITING_CELLS} executions are waiting already. Try again later.") from None
        cell.done.wait()
        return cell.answer

    def serve(self):
        """Called by the main thread: runs cells for ever."""
        signal.signal(signal.SIGALRM, self._on_alarm)
        while True:
            cell = self.waiting.get()
            self.busy = True
            try:
                self.execution_count += 1
                cell.answer = self.execute(cell.code, cell.timeout_seconds, self.execution_count)
            finally:
                self.busy = False
                cell.done.set()

    def _on_alarm(self, _signal, _frame):
        # An alarm that a cell set for later must not end the session.
        if self.busy:
            raise CellTimeout()

    def execute(self, code, timeout_seconds, count):
        out, err, result, error = BoundedOutput(), BoundedOutput(), None, None
        started = time.perf_counter()
        real = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = out, err
        try:
            signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
            try:
                result = _shown(run_cell(code, f"<cell {count}>", self.variables))
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except BaseException as problem:  # SystemExit and KeyboardInterrupt of a cell end the cell, not the session
            error = _explained(problem, timeout_seconds)
        finally:
            sys.stdout, sys.stderr = real
        return {
            "stdout": out.text(),
            "stderr": err.text(),
            "result": result,
            "error": error,
            "executionCount": count,
            "durationMs": round((time.perf_counter() - started) * 1000, 3),
        }


def run_cell(code, name, variables):
    """Executes the statements; the value of a last expression is returned, as notebooks do."""
    linecache.cache[name] = (len(code), None, code.splitlines(True), name)
    tree = ast.parse(code, name)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, name, "exec"), variables)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), name, "eval"), variables)


def _shown(value):
    if value is None:
        return None
    text = repr(value)
    if len(text) <= MAX_OUTPUT_CHARS:
        return text
    return f"{text[:MAX_OUTPUT_CHARS]}\n[{len(text) - MAX_OUTPUT_CHARS} more characters were dropped]"


def _explained(problem, timeout_seconds):
    """The error's name, text and trace, without the frames of this file."""
    if isinstance(problem, CellTimeout):
        return {"name": "TimeoutError", "message": f"The cell ran for more than {timeout_seconds} s.", "traceback": ""}
    frames = problem.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename in (__file__, ast.__file__):
        frames = frames.tb_next
    trace = "".join(traceback.format_exception(type(problem), problem, frames))
    return {
        "name": type(problem).__name__,
        "message": str(problem)[:MAX_OUTPUT_CHARS],
        "traceback": trace[-MAX_OUTPUT_CHARS:],
    }

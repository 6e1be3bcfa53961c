"""Starts engines by forking `forking_engine.py`, which has imported everything and changed nothing.

An engine spends nearly all of its start on imports: tests that start dozens make them once.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

POLL_SECONDS = 0.01


class Forked:
    """A process of the template's, with what `subprocess.Popen` offers of it."""

    stderr = None

    def __init__(self, pid: int, stdout: IO[str], line: socket.socket) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._line = line

    def poll(self) -> int | None:
        """Return its exit status, negative for a signal; None while it runs."""
        if self.returncode is None:
            self._line.send(json.dumps(self.pid).encode())
            self.returncode = json.loads(self._line.recv(64))
        return self.returncode

    def send_signal(self, sig: int) -> None:
        """Send a signal if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raise TimeoutExpired after `timeout` seconds."""
        end, idle = time.monotonic() + (timeout or 60), threading.Event()
        while (status := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("engine", timeout or 60)
            idle.wait(POLL_SECONDS)
        return status


class Template:
    """A process to fork engines from. One thread at a time."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def start(self, arguments: Sequence[str], *, pauses: Path | None, stderr: IO[str]) -> Forked:
        """Start an engine with these arguments of its command line."""
        read_end, write_end = os.pipe()
        request = json.dumps([str(pauses or ""), *arguments]).encode()
        socket.send_fds(self._line, [request], [write_end, stderr.fileno()])
        os.close(write_end)
        pid = json.loads(self._line.recv(64))
        return Forked(pid, os.fdopen(read_end, encoding="utf-8"), self._line)


@contextlib.contextmanager
def template(python: str, root: Path) -> Iterator[Template]:
    """Start the process; it ends after the block."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [python, "-m", "tests.support.forking_engine", str(theirs.fileno())],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        with process:
            yield Template(ours)
            ours.close()

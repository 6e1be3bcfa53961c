"""A process that becomes an engine as often as it is asked; the other end is `engine_template.py`.

Runs in the engine's environment: `python -m tests.support.forking_engine FD`. A list on the socket
FD is a directory of pauses or "" and an engine's arguments: they are answered with a process id.
A process id is answered with its exit status, or null while it runs.
"""

import importlib
import json
import os
import socket
import sys
import traceback
from pathlib import Path

from tests.support.pausing_engine import stop_where_told


def serve(line: socket.socket) -> None:
    """Fork and answer until the other end closes."""
    while True:
        data, given, _, _ = socket.recv_fds(line, 65536, 2)
        if not data:
            return
        request = json.loads(data)
        if isinstance(request, int):
            line.send(json.dumps(status_of(request)).encode())
            continue
        pid = os.fork()
        if not pid:
            line.close()
            become_engine(request, *given)
        for descriptor in given:
            os.close(descriptor)
        line.send(json.dumps(pid).encode())


def status_of(pid: int) -> int | None:
    """Return a forked process's exit status, negative for a signal; None while it runs."""
    ended, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if ended else None


def become_engine(request: list[str], stdout: int, stderr: int) -> None:
    """Be an engine and never return."""
    status = 1
    try:
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        pauses, *arguments = request
        if pauses:
            stop_where_told(Path(pauses))
        status = importlib.import_module("libs.local.engine.command").main(arguments)
    except BaseException:  # noqa: BLE001 - whatever it was, this process is no template
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    importlib.import_module("libs.local.engine.logs").configure()
    importlib.import_module("libs.local.engine.process")
    serve(socket.socket(fileno=int(sys.argv[1])))

"""Ports of the mesh: chosen by the kernel and kept for as long as the mesh is up."""

import contextlib
import errno
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

HOST: Final = "127.0.0.1"
LISTENING: Final = "0A"


class PortInUse(Exception):
    """Another process listens at the port that was asked for."""


class Reservations:
    """Bound sockets that never listen: nobody else is given their ports, while those told may listen."""

    def __init__(self) -> None:
        self._held = contextlib.ExitStack()

    def take(self, port: int = 0) -> str:
        """Return `host:port`, port 0 meaning any; raise PortInUse saying what to do."""
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            held.bind((HOST, port))
        except OSError as error:
            held.close()
            if error.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
            raise PortInUse(_advice(port, error.errno)) from error
        self._held.enter_context(held)
        return f"{HOST}:{held.getsockname()[1]}"

    def close(self) -> None:
        self._held.close()


def _advice(port: int, number: int | None) -> str:
    if number == errno.EACCES:
        return f"port {port} may not be used by this user; choose another with --port"
    by = f"by {found}" if (found := holder(port)) else "by another process"
    return (
        f"port {port} is in use {by}; stop that, or choose another port with --port "
        "(a mesh of another folder? `convergence local down --state FOLDER` stops it)"
    )


def holder(port: int) -> str:
    """Return `name (pid n)` of who listens at `port`, empty where the system does not tell."""
    inodes = set(_listening(port))
    for link in Path("/proc").glob("[0-9]*/fd/*") if inodes else ():
        with contextlib.suppress(OSError):
            if str(link.readlink()) in inodes:
                process = link.parent.parent
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _listening(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    yield f"socket:[{fields[9]}]"

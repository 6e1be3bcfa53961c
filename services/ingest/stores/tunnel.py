"""A proxy on loopback through which a library reaches checked addresses only.

A library that resolves names by itself cannot be told which addresses it may connect to. Given this proxy it
resolves none: it asks for `CONNECT host:port`, the name is checked as those of HTTP sources are, and TLS goes
through untouched.
"""

import base64
import contextlib
import hmac
import secrets
import socket
import threading
from collections.abc import Generator
from typing import Final

import httpcore

from services.ingest.sources.guard import CONNECT_SECONDS, GuardedBackend

HEAD_BYTES: Final = 8 * 1024
IDLE_SECONDS: Final = 120.0
PIECE: Final = 256 * 1024


class Tunnel:
    """Lets through what holds its password and wants an address that the backend allows."""

    def __init__(self, backend: GuardedBackend) -> None:
        self._backend = backend
        self._password = secrets.token_urlsafe(32)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._accept, name="tunnel", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Address of the proxy, password included."""
        port = self._listener.getsockname()[1]
        return f"http://worker:{self._password}@127.0.0.1:{port}"

    def close(self) -> None:
        """Take no more connections; those there end with their libraries'."""
        self._closed.set()
        with socket.create_connection(self._listener.getsockname()):
            self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            near, _ = self._listener.accept()
            if self._closed.is_set():
                near.close()
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        near.settimeout(IDLE_SECONDS)
        with near, contextlib.suppress(OSError):
            head = _head(near)
            host, port, refusal = self._wanted(head)
            if refusal:
                near.sendall(_answer(refusal))
                return
            try:
                stream = self._backend.connect_tcp(host, port, CONNECT_SECONDS)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                near.sendall(_answer("502 Bad Gateway"))
                return
            far: socket.socket = stream.get_extra_info("socket")
            with far:
                far.settimeout(IDLE_SECONDS)
                near.sendall(_answer("200 Connection Established"))
                _join(near, far)

    def _wanted(self, head: str) -> tuple[str, int, str]:
        """Return host and port of a request, or why it is refused."""
        request, *lines = head.split("\r\n")
        method, _, rest = request.partition(" ")
        host, _, port = rest.partition(" ")[0].rpartition(":")
        shown = [v for k, _, v in (line.partition(": ") for line in lines) if k.lower() == HEADER]
        known = base64.b64encode(f"worker:{self._password}".encode()).decode()
        if not hmac.compare_digest("".join(shown).encode(), f"Basic {known}".encode()):
            return "", 0, "407 Proxy Authentication Required"
        if method != "CONNECT" or not host or not port.isdecimal() or len(port) > 5:
            return "", 0, "405 Method Not Allowed"
        return host.strip("[]"), int(port), ""


HEADER: Final = "proxy-authorization"


@contextlib.contextmanager
def open_tunnel(backend: GuardedBackend) -> Generator[Tunnel]:
    """Open a tunnel, closed at the end."""
    tunnel = Tunnel(backend)
    try:
        yield tunnel
    finally:
        tunnel.close()


def _head(near: socket.socket) -> str:
    """Return the head of a request; raise OSError if none comes."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = near.recv(HEAD_BYTES - len(head))
        if not piece:
            raise ConnectionError
        head += piece
    return head.decode("latin-1")


def _answer(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\n\r\n".encode()


def _join(near: socket.socket, far: socket.socket) -> None:
    """Carry bytes both ways until both sides have ended."""
    back = threading.Thread(target=_carry, args=(far, near), daemon=True)
    back.start()
    _carry(near, far)
    back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    buffer = memoryview(bytearray(PIECE))
    with contextlib.suppress(OSError):
        while count := source.recv_into(buffer):
            sink.sendall(buffer[:count])
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

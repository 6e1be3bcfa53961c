"""A TCP forwarder between a client and the engine that can cut, refuse and swallow."""

import contextlib
import socket
import threading
from collections.abc import Iterator


class Proxy:
    """Forwards `127.0.0.1:port` to `target` (host:port) until closed."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._lock = threading.Lock()
        self._pairs: list[socket.socket] = []
        self._refusing = False
        self._bytes_until_cut: int | None = None
        self._silent = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Break every connection; new ones are taken."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for end in pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def cut_after(self, sent_bytes: int) -> None:
        """Break every connection once, when clients have sent this many more bytes."""
        with self._lock:
            self._bytes_until_cut = sent_bytes

    def refuse(self, refusing: bool) -> None:
        """Break every connection and go on doing so with new ones, or stop that."""
        self._refusing = refusing
        if refusing:
            self.cut()

    def silence(self, silent: bool) -> None:
        """Swallow what the server answers, as a hung one would, or stop that."""
        self._silent = silent

    def close(self) -> None:
        """Stop."""
        self._listener.close()
        self.refuse(True)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.connections += 1
                if self._refusing:
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                with self._lock:
                    self._pairs += [client, server]
                for source, sink, up in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._pump, args=(source, sink, up), daemon=True
                    ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if up and self._counts_down(len(data)):
                    self.cut()
                    return
                if up or not self._silent:
                    sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def _counts_down(self, size: int) -> bool:
        with self._lock:
            if self._bytes_until_cut is None:
                return False
            self._bytes_until_cut -= size
            if self._bytes_until_cut > 0:
                return False
            self._bytes_until_cut = None
            return True


@contextlib.contextmanager
def proxied(target: str) -> Iterator[Proxy]:
    """Yield a proxy in front of `target` and close it afterwards."""
    proxy = Proxy(target)
    try:
        yield proxy
    finally:
        proxy.close()

"""The hash of an object's content, taken while it is read for another purpose."""

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Generator
from typing import BinaryIO, Final, ParamSpec, TypeVar

import blake3

from services.ingest.failures import Cancelled, SourceChanged
from services.ingest.stores.store import Blob

PIECE: Final = 4 * 1024 * 1024
"""Bytes that are read, and hashed, at once; one piece is read before it is asked for."""

P = ParamSpec("P")
T = TypeVar("T")


class Hashing:
    """A stream that is read once, in order; one thread reads ahead, another one hashes what was read.

    Args:
        stream: Of an object, from its beginning.
        size: How many bytes the object has.
        name: Of the object.
        threads: Where to read and to hash: two of them, or none beside the caller's.
    """

    def __init__(
        self, stream: BinaryIO, size: int, name: str, threads: concurrent.futures.Executor
    ) -> None:
        self._stream = stream
        self._left = size
        self._name = name
        self._threads = threads
        self._hash = blake3.blake3()
        self._piece = memoryview(b"")
        self._next = threads.submit(self._more)
        self._hashed = threads.submit(self._hash.update, b"")

    def read(self, size: int, /) -> bytes | memoryview:
        """Return up to `size` bytes, none at the end; a whole piece as it was read.

        Raises:
            SourceChanged: the object ends before its size.
            ServiceError: as the stream raises.
        """
        if not self._piece:
            piece = self._next.result()
            self._next = self._threads.submit(self._more)
            self._hashed.result()
            self._hashed = self._threads.submit(self._hash.update, piece)
            if len(piece) <= size:
                return piece
            self._piece = memoryview(piece)
        data, self._piece = self._piece[:size], self._piece[size:]
        return data

    def _more(self) -> bytes:
        data = self._stream.read(min(PIECE, self._left)) if self._left else b""
        if self._left and not data:
            text = f"{self._name} became shorter while it was read; retry the run: it plans anew"
            raise SourceChanged(text, source=self._name)
        self._left -= len(data)
        return data

    def content_hash(self, cancelled: threading.Event) -> str:
        """Read what is left and return the hash of all. Raises as `read`, and Cancelled."""
        while self.read(PIECE):
            if cancelled.is_set():
                raise Cancelled
        self._hashed.result()
        return f"blake3:{self._hash.hexdigest()}"


class _Here(concurrent.futures.Executor):
    """Does in the caller's thread what it is given: one piece leaves nothing to do beside it."""

    def submit(
        self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> "concurrent.futures.Future[T]":
        done = concurrent.futures.Future[T]()
        try:
            done.set_result(work(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 whoever asks for the result has it raised
            done.set_exception(error)
        return done


@contextlib.contextmanager
def hashing(blob: Blob, name: str) -> Generator[Hashing]:
    """Open an object from its beginning to be hashed while it is read."""
    size = blob.size_bytes
    threads = concurrent.futures.ThreadPoolExecutor(2, "hashing") if size > PIECE else _Here()
    with blob.stream(0, size) as stream, threads:
        yield Hashing(stream, size, name, threads)


def content_hash(blob: Blob, name: str, cancelled: threading.Event) -> str:
    """Return the hash of an object. Raises as `Hashing.read`, and Cancelled."""
    with hashing(blob, name) as stream:
        return stream.content_hash(cancelled)

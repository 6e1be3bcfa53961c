"""The hash of an object's content, taken while it is read for another purpose."""

import collections
import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Generator
from typing import BinaryIO, Final, ParamSpec, TypeVar

import blake3

from services.ingest.failures import Cancelled, SourceChanged
from services.ingest.stores.store import Blob

PIECE: Final = 4 * 1024 * 1024
"""Bytes that are read, and hashed, at once."""

AHEAD: Final = 3
"""Pieces that are read before they are asked for, and as many that are not hashed yet.

Reading, hashing and what is done with the bytes take turns in being slow; with one piece each waits
for the others every time.
"""

P = ParamSpec("P")
T = TypeVar("T")


class Hashing:
    """A stream that is read once, in order; one thread reads ahead, another one hashes what was read.

    Args:
        stream: Of an object, from its beginning.
        size: How many bytes the object has.
        name: Of the object.
        reader, hasher: One thread each, or none beside the caller's.
    """

    def __init__(
        self,
        stream: BinaryIO,
        size: int,
        name: str,
        reader: concurrent.futures.Executor,
        hasher: concurrent.futures.Executor,
    ) -> None:
        self._stream = stream
        self._left = size
        self._name = name
        self._reader = reader
        self._hasher = hasher
        self._hash = blake3.blake3()
        self._piece = memoryview(b"")
        self._read = collections.deque(reader.submit(self._more) for _ in range(AHEAD))
        self._hashed = collections.deque[concurrent.futures.Future[object]]()

    def read(self, size: int, /) -> bytes | memoryview:
        """Return up to `size` bytes, none at the end; a whole piece as it was read.

        Raises:
            SourceChanged: the object ends before its size.
            ServiceError: as the stream raises.
        """
        if not self._piece:
            piece = self._read.popleft().result()
            self._read.append(self._reader.submit(self._more))
            self._hashed.append(self._hasher.submit(self._hash.update, piece))
            if len(self._hashed) > AHEAD:
                self._hashed.popleft().result()
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
        while self._hashed:
            self._hashed.popleft().result()
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
    with (
        blob.stream(0, size) as stream,
        _thread(size) as reader,
        _thread(size) as hasher,
    ):
        yield Hashing(stream, size, name, reader, hasher)


@contextlib.contextmanager
def _thread(size: int) -> Generator[concurrent.futures.Executor]:
    """Give a thread where more than one piece is read; what it has not begun in the end, it leaves."""
    thread = concurrent.futures.ThreadPoolExecutor(1, "hashing") if size > PIECE else _Here()
    try:
        yield thread
    finally:
        thread.shutdown(cancel_futures=True)


def content_hash(blob: Blob, name: str, cancelled: threading.Event) -> str:
    """Return the hash of an object. Raises as `Hashing.read`, and Cancelled."""
    with hashing(blob, name) as stream:
        return stream.content_hash(cancelled)

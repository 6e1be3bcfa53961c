"""An object in memory."""

import contextlib
import dataclasses
import io
from collections.abc import Generator
from typing import BinaryIO


@dataclasses.dataclass(frozen=True, slots=True)
class MemoryBlob:
    """One version of an object, that is here."""

    data: bytes

    @property
    def size_bytes(self) -> int:
        return len(self.data)

    @contextlib.contextmanager
    def stream(self, start: int, end: int) -> Generator[BinaryIO]:
        yield io.BytesIO(self.data[start:end])

    @contextlib.contextmanager
    def seekable(self) -> Generator[BinaryIO]:
        yield io.BytesIO(self.data)

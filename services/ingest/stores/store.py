"""The port of stores: which objects a tenant has, and how the bytes of one version of one arrive."""

import contextlib
import threading
from typing import BinaryIO, Protocol

from services.ingest.chunks import Input


class Blob(Protocol):
    """One version of an object. Methods block and belong into a thread."""

    @property
    def size_bytes(self) -> int:
        """Bytes as they are stored, compressed or not."""
        ...

    def stream(self, start: int, end: int) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open bytes [start, end) for reading once, in order.

        What is read never mixes two versions. Raises SourceChanged, SourceUnavailable, here or on
        a read.
        """
        ...

    def seekable(self) -> contextlib.AbstractContextManager[BinaryIO]:
        """Open the object for reading anywhere in it. Raises as `stream`."""
        ...


class Store(Protocol):
    """Objects that one tenant may read. Methods block and belong into a thread."""

    def find(self, pattern: str, cancelled: threading.Event) -> list[Input]:
        """Return the objects that a pattern matches, in order of name, with what tells versions apart.

        `content_hash` is set where the store knows the content; elsewhere whoever reads all of it
        sets it.

        Raises:
            SourceNotAllowed: the pattern or a match is not the tenant's.
            SourceNotFound: nothing matches.
            SourceUnavailable: the store does not answer, or an object cannot be read.
            Cancelled: `cancelled` was set.
        """
        ...

    def open(self, planned: Input) -> Blob:
        """Return the version of an object that was planned.

        Raises:
            SourceChanged: it is not as it was.
            SourceNotAllowed: it is none of the tenant's.
        """
        ...

    def check(self, planned: Input) -> None:
        """Raise SourceChanged if the object is no longer as it was planned."""
        ...

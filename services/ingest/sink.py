"""Where rows go: streams of one attempt. The port, and an implementation in memory."""

import dataclasses
import threading
from collections.abc import Sequence
from typing import Final, Protocol

import pyarrow as pa

from libs.common.errors import Unavailable
from libs.common.lineage import PlatformColumn
from services.ingest.failures import Cancelled

LOOK_SECONDS: Final = 0.01

LARGEST_ROW: Final = 8 * 1024 * 1024 - 64 * 1024
"""Bytes of a row that an append takes; lineage and what a request says of itself come on top."""


class SinkUnavailable(Unavailable):
    """The sink does not answer."""

    reason = "WAREHOUSE_UNAVAILABLE"


class SinkStream(Protocol):
    """One stream of one table. Calls block, and raise Cancelled once the chunk is cancelled."""

    def append(self, rows: pa.Table) -> None:
        """Append rows of at most LARGEST_ROW; waits while too many requests are unanswered.

        Raises:
            ServiceError: the sink failed.
        """

    def finish(self) -> tuple[str, int]:
        """Finalize the stream; return its name and its number of rows.

        Raises:
            ServiceError: the sink failed, now or in an append before: the stream never counts.
        """

    def abort(self) -> None:
        """Give the stream up: its rows never count."""


class Sink(Protocol):
    """Opens streams."""

    def open(
        self, table: str, columns: Sequence[PlatformColumn], cancelled: threading.Event
    ) -> SinkStream:
        """Open a stream on `project.dataset.table`, which has these columns. Raises ServiceError."""


@dataclasses.dataclass(slots=True)
class MemorySink:
    """Streams in memory, by name once they are finished.

    Dials: appends after the first `fail_after` of a stream raise SinkUnavailable; `hold` lets an
    append wait until it is set.
    """

    fail_after: int | None = None
    hold: threading.Event | None = None
    finished: dict[str, pa.Table] = dataclasses.field(default_factory=dict)
    opened: int = 0

    def open(
        self, table: str, columns: Sequence[PlatformColumn], cancelled: threading.Event
    ) -> "MemoryStream":
        self.opened += 1
        return MemoryStream(self, f"{table}/streams/{self.opened}", cancelled)


@dataclasses.dataclass(slots=True)
class MemoryStream:
    """A stream in memory."""

    sink: MemorySink
    name: str
    cancelled: threading.Event
    parts: list[pa.Table] = dataclasses.field(default_factory=list)
    failed: bool = False

    def append(self, rows: pa.Table) -> None:
        self._wait()
        fail_after = self.sink.fail_after
        self.failed = fail_after is not None and len(self.parts) >= fail_after
        self._refuse_failed()
        self.parts.append(rows)

    def _wait(self) -> None:
        hold = self.sink.hold
        while not self.cancelled.is_set() and not (hold is None or hold.wait(LOOK_SECONDS)):
            continue
        if self.cancelled.is_set():
            raise Cancelled

    def _refuse_failed(self) -> None:
        if self.failed:
            raise SinkUnavailable("the sink fails by a dial")

    def finish(self) -> tuple[str, int]:
        self._refuse_failed()
        rows = pa.concat_tables(self.parts) if self.parts else pa.table({})
        self.sink.finished[self.name] = rows
        return self.name, rows.num_rows

    def abort(self) -> None:
        self.parts.clear()

"""Where rows go: streams of one attempt. The port, and an implementation in memory."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from libs.common.errors import Unavailable
from libs.common.lineage import PlatformColumn


class SinkUnavailable(Unavailable):
    """The sink does not answer."""

    reason = "WAREHOUSE_UNAVAILABLE"


class SinkStream(Protocol):
    """One stream of one table. Calls block."""

    def append(self, rows: pa.Table) -> None:
        """Append rows; waits while too many requests are unanswered."""

    def finish(self) -> tuple[str, int]:
        """Finalize the stream; return its name and its number of rows."""

    def abort(self) -> None:
        """Give the stream up: its rows never count."""


class Sink(Protocol):
    """Opens streams."""

    def open(self, table: str, columns: Sequence[PlatformColumn]) -> SinkStream:
        """Open a stream on `project.dataset.table`, which has these columns."""


@dataclasses.dataclass(slots=True)
class MemorySink:
    """Streams in memory. Dial: `fail_after` appends raise SinkUnavailable."""

    fail_after: int | None = None
    finished: dict[str, pa.Table] = dataclasses.field(default_factory=dict)
    opened: int = 0

    def open(self, table: str, columns: Sequence[PlatformColumn]) -> "MemoryStream":
        self.opened += 1
        return MemoryStream(self, f"{table}/streams/{self.opened}")


@dataclasses.dataclass(slots=True)
class MemoryStream:
    """A stream in memory."""

    sink: MemorySink
    name: str
    parts: list[pa.Table] = dataclasses.field(default_factory=list)

    def append(self, rows: pa.Table) -> None:
        if self.sink.fail_after is not None and len(self.parts) >= self.sink.fail_after:
            raise SinkUnavailable("the sink fails by a dial")
        self.parts.append(rows)

    def finish(self) -> tuple[str, int]:
        self.sink.finished[self.name] = pa.concat_tables(self.parts)
        return self.name, self.sink.finished[self.name].num_rows

    def abort(self) -> None:
        self.parts.clear()

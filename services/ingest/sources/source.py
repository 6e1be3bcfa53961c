"""The port of sources: how one is split, and how a chunk's rows arrive as texts."""

import dataclasses
import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Literal, Protocol, TypeAlias

import polars as pl

from services.ingest.chunks import Chunk, Plan
from services.ingest.columns import TargetColumn

EXTRA: Final = "extra"
"""A JSON column of this name takes the fields that a schema does not know."""


ColumnMode: TypeAlias = Literal["discard_value", "discard_row", "freeze", "evolve"]
"""What becomes of columns and fields that a schema does not know."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Moments [start, end) in UTC."""

    start: dt.datetime
    end: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Splitting:
    """What a source is split by: the schema, the run's window, and the size of a chunk.

    unknown: What becomes of columns that the schema lacks.
    """

    columns: tuple[TargetColumn, ...]
    unknown: ColumnMode = "discard_value"
    window: Interval | None
    chunk_bytes: int
    spec_hash: str
    cancelled: threading.Event = dataclasses.field(default_factory=threading.Event)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """A record that is no row: why (`RAGGED` or `MALFORMED`), and its text."""

    row_number: int
    kind: str
    detail: str
    raw: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RawBatch:
    """Rows as the source wrote them.

    rows: (n, c) columns named as the schema names them; null is an absent value. Schema columns that
        are not there are null in every row. A column is String with the source's texts, or, where the
        source has types, has the very type that the schema's column is held in.
    row_numbers: (n,) Int64, from 0 in the input.
    raw_rows: Returns rows of this batch, by ascending index, as JSON objects of the source's texts.
        It may read the source again, and is asked at most once, before the next batch is taken.
    read_bytes: Bytes of the source that this batch took.
    proven_json: Whether each text of a JSON column is known to be JSON as `exact_json.loads` takes it.
    empty_days: Days (ISO) of which the source itself says that they have no rows.
    """

    rows: pl.DataFrame
    row_numbers: pl.Series
    raw_rows: Callable[[Sequence[int]], list[str]]
    rejects: tuple[Reject, ...] = ()
    read_bytes: int = 0
    proven_json: bool = False
    empty_days: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a chunk is read: as which columns, and what tells it to stop or waits for quota.

    throttled: Called with True when a wait for the source's quota begins, with False at its end.
    """

    columns: tuple[TargetColumn, ...]
    cancelled: threading.Event
    throttled: Callable[[bool], None] = lambda _: None


class Source(Protocol):
    """A source of a tenant. Both methods block and belong into a thread."""

    def plan(self, splitting: Splitting) -> Plan:
        """Split the source; raise ServiceError for what can be known to be wrong by now."""
        ...

    def read(self, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        """Yield the chunk's rows in order, in batches of bounded size.

        Raises:
            ServiceError: the source failed; Delayed ones may pass.
            Cancelled: `reading.cancelled` was set.
        """
        ...


def keeps_extra(columns: Sequence[TargetColumn]) -> bool:
    """Return whether the schema has the JSON column that takes unknown fields."""
    return any(c.name == EXTRA and c.type == "JSON" for c in columns)

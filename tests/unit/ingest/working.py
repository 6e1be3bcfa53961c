"""One chunk worked on from texts in memory to streams in memory."""

import dataclasses
import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import polars as pl

from services.ingest.chunks import ByteRange, Chunk, Input, Plan
from services.ingest.columns import TargetColumn
from services.ingest.ingestion import Ingestion, Tally, Task
from services.ingest.sink import MemorySink
from services.ingest.sources.source import RawBatch, Reading, Reject, Splitting

NOON = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
TABLE = "local.acme_raw.usage"
QUARANTINE = "local.acme_raw.usage__quarantine"
CHUNK = Chunk(
    chunk_id="chunk1",
    input=Input(input_id="bills/a.csv"),
    part=ByteRange(start=0, end=9, first_row_number=0, header=("a",)),
)


def task(columns: Sequence[TargetColumn], **fields: Any) -> Task:
    """Return a try of a chunk, at noon, an hour before its deadline."""
    plain = Task(
        tenant="acme",
        pipeline="p_usage",
        run="r1",
        chunk=CHUNK,
        chunk_attempt=3,
        columns=tuple(columns),
        scope=(),
        key_columns=(),
        rules=(),
        table=TABLE,
        quarantine_table=QUARANTINE,
        staging=True,
        snapshot=7,
        ingest_time=NOON,
        deadline=NOON + dt.timedelta(hours=1),
    )
    return dataclasses.replace(plain, **fields)


@dataclasses.dataclass(slots=True)
class Texts:
    """A source of batches; `between` is called before each."""

    batches: Sequence[RawBatch]
    between: Callable[[], None] = lambda: None

    def plan(self, splitting: Splitting) -> Plan:
        return Plan(chunks=(CHUNK,))

    def read(self, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        for batch in self.batches:
            self.between()
            yield batch


def batch(
    columns: Sequence[TargetColumn],
    *rows: Sequence[str | None],
    first: int = 0,
    rejects: Sequence[Reject] = (),
    **fields: Any,
) -> RawBatch:
    """Return rows of texts as a batch."""
    schema = {column.name: pl.String for column in columns}
    frame = pl.DataFrame([list(row) for row in rows], schema=schema, orient="row")
    return RawBatch(
        rows=frame,
        row_numbers=pl.int_range(first, first + len(rows), dtype=pl.Int64, eager=True),
        raw_rows=lambda indexes: [str(rows[i]) for i in indexes],
        rejects=tuple(rejects),
        **fields,
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """A finished chunk: what it says of itself, and the rows of its streams."""

    tally: Tally
    sink: MemorySink

    @property
    def landed(self) -> list[dict[str, Any]]:
        return self._rows(self.tally.stream)

    @property
    def quarantined(self) -> list[dict[str, Any]]:
        return self._rows(self.tally.quarantine_stream)

    def _rows(self, stream: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.sink.finished[stream].to_pylist() if stream else []
        return rows


def work(
    asked: Task,
    *batches: RawBatch,
    sink: MemorySink | None = None,
    now: Callable[[], dt.datetime] = lambda: NOON,
    cancelled: threading.Event | None = None,
    between: Callable[[], None] = lambda: None,
) -> Done:
    """Work on a chunk of these batches to its end."""
    into = sink or MemorySink()
    ingestion = Ingestion(asked, into, now=now)
    tally = ingestion.run(Texts(batches, between), cancelled or threading.Event(), lambda _: None)
    return Done(tally, into)

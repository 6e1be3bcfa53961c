"""What a chunk rests on: every place where rows go keeps these promises."""

import contextlib
import dataclasses
import datetime as dt
import itertools
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from libs.bigquery import streams
from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.datasets import drop_dataset, ensure_dataset
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.jobs import query
from libs.bigquery.tables import Column, ensure_table
from libs.common.errors import ServiceError, Unavailable
from libs.common.lineage import PlatformColumn
from services.ingest.bigquery_sink import BigQuerySink
from services.ingest.failures import Cancelled
from services.ingest.landing import arrow
from services.ingest.sink import LARGEST_ROW, MemorySink, Sink, SinkStream
from services.ingest.verdicts import COLUMN_BYTES
from tests.integration.bigquery.proxy import proxied
from tests.support.engine import Engine

COLUMNS = (
    PlatformColumn("n", "INT64", "REQUIRED"),
    PlatformColumn("cost", "BIGNUMERIC"),
    PlatformColumn("price", "NUMERIC(10,2)"),
    PlatformColumn("text", "STRING"),
    PlatformColumn("tags", "STRING", "REPEATED"),
    PlatformColumn("day", "DATE"),
    PlatformColumn("at", "TIMESTAMP"),
    PlatformColumn("civil", "DATETIME"),
    PlatformColumn("raw", "BYTES"),
    PlatformColumn("share", "FLOAT64"),
    PlatformColumn("good", "BOOL"),
    PlatformColumn("clock", "TIME"),
)
SCHEMA: dict[str, Any] = {
    "n": pl.Int64(),
    "cost": pl.Decimal(38, 18),
    "price": pl.Decimal(38, 9),
    "text": pl.String(),
    "tags": pl.List(pl.String()),
    "day": pl.Date(),
    "at": pl.Datetime("us", "UTC"),
    "civil": pl.Datetime("us"),
    "raw": pl.Binary(),
    "share": pl.Float64(),
    "good": pl.Boolean(),
    "clock": pl.Time(),
}
FULL = {
    "n": 1,
    "cost": Decimal("-99999999999999999999.999999999999999999"),
    "price": Decimal("1.25"),
    "text": "é😀\n",
    "tags": ["a", ""],
    "day": dt.date(1, 1, 1),
    "at": dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    "civil": dt.datetime(2026, 11, 1, 1, 2, 3, 4),  # noqa: DTZ001 a civil time has no zone
    "raw": b"\x00\xff",
    "share": 0.1,
    "good": True,
    "clock": dt.time(23, 59, 59, 999999),
}
EMPTY = dict.fromkeys(SCHEMA) | {"n": 2, "tags": []}


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A sink, a table of it, what a finished stream's rows are, and a sink that fails."""

    sink: Sink
    table: str
    rows: Callable[[str], list[dict[str, Any]]]
    failing: Callable[[], contextlib.AbstractContextManager[Sink]]

    def open(self, cancelled: threading.Event | None = None) -> SinkStream:
        return self.sink.open(self.table, COLUMNS, cancelled or threading.Event())


@pytest.fixture(scope="module")
def connection(engine: Engine) -> Connection:
    return Connection(engine.project, "US", engine.rest, engine.grpc)


@pytest.fixture(scope="module")
def bigquery(connection: Connection) -> Iterator[BigQuery]:
    with connect(connection) as opened:
        yield opened


@pytest.fixture(scope="module")
def dataset(bigquery: BigQuery) -> Iterator[DatasetId]:
    made = DatasetId(bigquery.connection.project, f"acme_{uuid.uuid4().hex}")
    ensure_dataset(bigquery, made, tenant="acme")
    yield made
    drop_dataset(bigquery, made, tenant="acme")


def in_memory() -> Place:
    sink = MemorySink()

    def rows(stream: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = sink.finished[stream].to_pylist()
        return found

    return Place(
        sink,
        "local.acme_raw.usage",
        rows,
        lambda: contextlib.nullcontext(MemorySink(fail_after=0)),
    )


def in_bigquery(bigquery: BigQuery, table: TableId) -> Place:
    ensure_table(bigquery, table, [Column(c.name, c.type, c.mode) for c in COLUMNS])

    def rows(stream: str) -> list[dict[str, Any]]:
        assert isinstance(streams.commit(bigquery, table, [stream]), streams.Committed)
        return [dict(row) for row in query(bigquery, f"SELECT * FROM {table.sql} ORDER BY n")]

    @contextlib.contextmanager
    def failing() -> Iterator[Sink]:
        """Yield a sink whose BigQuery opens streams and then is away."""
        there = bigquery.connection
        with proxied(there.storage_endpoint) as proxy:
            behind = Connection(there.project, "US", there.rest_endpoint, proxy.address)
            with connect(behind) as shaky:
                yield _Cut(BigQuerySink(shaky, request_bytes=1, patience_seconds=0.5), proxy.refuse)

    name = str(table)
    return Place(BigQuerySink(bigquery, request_bytes=20_000), name, rows, failing)


@dataclasses.dataclass(frozen=True, slots=True)
class _Cut:
    """A sink that loses its connection once a stream is open."""

    sink: Sink
    refuse: Callable[[bool], None]

    def open(
        self, table: str, columns: Sequence[PlatformColumn], cancelled: threading.Event
    ) -> SinkStream:
        stream = self.sink.open(table, columns, cancelled)
        self.refuse(True)
        return stream


@pytest.fixture(params=["memory", "bigquery"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "memory":
        return in_memory()
    bigquery = request.getfixturevalue("bigquery")
    dataset: DatasetId = request.getfixturevalue("dataset")
    return in_bigquery(bigquery, dataset.table(f"t_{uuid.uuid4().hex}"))


def table_of(*rows: dict[str, Any]) -> pa.Table:
    """Return rows as a chunk hands them on."""
    return arrow(pl.DataFrame(list(rows), schema=SCHEMA, orient="row"))


def numbered(*numbers: int) -> pa.Table:
    return table_of(*({**EMPTY, "n": n} for n in numbers))


def test_rows_land_exactly_as_they_were(place: Place) -> None:
    stream = place.open()
    stream.append(table_of(FULL, EMPTY))
    name, count = stream.finish()
    assert count == 2
    assert place.rows(name) == [FULL, EMPTY]


def test_batches_land_once_each_in_one_stream(place: Place) -> None:
    stream = place.open()
    for start in range(0, 50, 10):
        stream.append(numbered(*range(start, start + 10)))
    name, count = stream.finish()
    assert count == 50
    assert [row["n"] for row in place.rows(name)] == list(range(50))


def test_a_batch_of_many_requests_lands_whole(place: Place) -> None:
    stream = place.open()
    stream.append(table_of(*({**EMPTY, "n": n, "text": "x" * 100} for n in range(2_000))))
    name, count = stream.finish()
    assert count == 2_000
    assert [row["n"] for row in place.rows(name)] == list(range(2_000))


def test_the_largest_row_lands_among_others(place: Place) -> None:
    stream = place.open()
    text = "x" * (LARGEST_ROW - COLUMN_BYTES * len(COLUMNS))
    stream.append(table_of({**EMPTY, "n": 1}, {**EMPTY, "n": 2, "text": text}, {**EMPTY, "n": 3}))
    name, count = stream.finish()
    assert count == 3
    assert [len(row["text"] or "") for row in place.rows(name)] == [0, len(text), 0]


def test_a_stream_without_rows_is_finished_with_none(place: Place) -> None:
    name, count = place.open().finish()
    assert (bool(name), count) == (True, 0)


def test_streams_of_one_table_are_apart(place: Place) -> None:
    opened = [place.open(), place.open()]
    for stream, number in itertools.product(opened, (1, 2)):
        stream.append(numbered(number))
    (first, _), (second, _) = (stream.finish() for stream in opened)
    assert first != second
    assert [row["n"] for row in place.rows(first)] == [1, 2]


def test_a_stream_that_is_given_up_takes_nothing_from_another(place: Place) -> None:
    given_up, kept = place.open(), place.open()
    given_up.append(numbered(1))
    kept.append(numbered(2))
    given_up.abort()
    name, count = kept.finish()
    assert count == 1
    assert [row["n"] for row in place.rows(name)] == [2]


def test_a_sink_that_fails_says_so_as_one_that_may_come_back(place: Place) -> None:
    with place.failing() as sink:
        stream = sink.open(place.table, COLUMNS, threading.Event())
        failure = _fails(stream)
        stream.abort()
    assert isinstance(failure, Unavailable)
    assert failure.reason == "WAREHOUSE_UNAVAILABLE"


def test_a_stream_that_failed_cannot_be_finished(place: Place) -> None:
    with place.failing() as sink:
        stream = sink.open(place.table, COLUMNS, threading.Event())
        _fails(stream)
        with pytest.raises(ServiceError):
            stream.finish()
        stream.abort()


def _fails(stream: SinkStream) -> ServiceError:
    """Append until the sink says that it fails: it may take some rows before it notices."""
    with pytest.raises(ServiceError) as failure:
        _append_one_by_one(stream, 100)
    return failure.value


def _append_one_by_one(stream: SinkStream, count: int) -> None:
    for number in range(count):
        stream.append(numbered(number))


def test_a_cancelled_chunk_appends_nothing(place: Place) -> None:
    cancelled = threading.Event()
    stream = place.open(cancelled)
    stream.append(numbered(1))
    cancelled.set()
    with pytest.raises(Cancelled):
        _append_one_by_one(stream, 3_000)
    stream.abort()

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.failures import (
    AppendRejected,
    OffsetOutOfRange,
    StreamSealed,
    StreamsGone,
    WarehouseUnavailable,
)
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.jobs import query
from libs.bigquery.streams import CommittedStream, create_committed, finalize
from libs.bigquery.tables import Column, arrow_schema, ensure_table
from tests.integration.bigquery.proxy import Proxy, proxied

COLUMNS = [Column("n", "INT64", "REQUIRED")]
SCHEMA = arrow_schema(COLUMNS)


@pytest.fixture
def table(bq: BigQuery, dataset: DatasetId) -> TableId:
    made = dataset.table("journal")
    ensure_table(bq, made, COLUMNS)
    return made


@pytest.fixture
def proxy(connection: Connection) -> Iterator[Proxy]:
    with proxied(connection.storage_endpoint) as running:
        yield running


@pytest.fixture
def name(bq: BigQuery, table: TableId) -> str:
    return create_committed(bq, table)


@pytest.fixture
def stream(connection: Connection, proxy: Proxy, name: str) -> Iterator[CommittedStream]:
    behind = Connection(connection.project, "US", connection.rest_endpoint, proxy.address)
    with connect(behind) as shaky, CommittedStream(shaky, name, SCHEMA, timeout=5) as opened:
        yield opened


def rows(*numbers: int) -> pa.Table:
    return pa.table({"n": list(numbers)}, schema=SCHEMA)


def read(bq: BigQuery, table: TableId) -> list[object]:
    return [row["n"] for row in query(bq, f"SELECT n FROM {table.sql} ORDER BY n")]


def test_what_is_acknowledged_is_read_at_once_and_one_connection_serves_all(
    bq: BigQuery, table: TableId, stream: CommittedStream, proxy: Proxy
) -> None:
    offset = 0
    for number in range(30):
        offset = stream.append_at(offset, rows(number, number + 100))
    assert offset == 60
    assert len(read(bq, table)) == 60
    assert proxy.connections == 1


def test_a_repeat_at_its_offset_is_done_and_a_gap_is_refused(
    bq: BigQuery, table: TableId, stream: CommittedStream
) -> None:
    assert stream.append_at(0, rows(1, 2)) == 2
    assert stream.append_at(0, rows(1, 2)) == 2
    with pytest.raises(OffsetOutOfRange):
        stream.append_at(5, rows(3))
    assert stream.append_at(2, rows(3)) == 3
    assert read(bq, table) == [1, 2, 3]


def test_an_append_goes_on_after_a_cut(
    bq: BigQuery, table: TableId, stream: CommittedStream, proxy: Proxy
) -> None:
    for number in range(3):
        stream.append_at(number, rows(number))
        proxy.cut()
    assert read(bq, table) == [0, 1, 2]


def test_after_an_outage_the_same_append_is_repeated_and_counts_once(
    bq: BigQuery,
    table: TableId,
    connection: Connection,
    proxy: Proxy,
    name: str,
) -> None:
    behind = Connection(connection.project, "US", connection.rest_endpoint, proxy.address)
    with connect(behind) as shaky, CommittedStream(shaky, name, SCHEMA, timeout=0.5) as stream:
        stream.append_at(0, rows(0))
        proxy.silence(True)
        with pytest.raises(WarehouseUnavailable):
            stream.append_at(1, rows(1))
        proxy.cut()
        proxy.silence(False)
        assert stream.append_at(1, rows(1)) == 2
    assert read(bq, table) == [0, 1]


def test_a_successors_seal_stops_every_later_append(
    bq: BigQuery, table: TableId, name: str, stream: CommittedStream
) -> None:
    stream.append_at(0, rows(0))
    assert finalize(bq, name) == 1
    for _ in range(2):
        with pytest.raises(StreamSealed) as error:
            stream.append_at(1, rows(1))
        assert error.value.metadata == {"stream": name}
    assert read(bq, table) == [0]


def test_a_stream_that_is_gone_is_no_sealed_one(bq: BigQuery, name: str) -> None:
    with CommittedStream(bq, f"{name}x", SCHEMA) as stream, pytest.raises(StreamsGone):
        stream.append_at(0, rows(0))


def test_refused_rows_leave_the_stream_as_it_was(bq: BigQuery, table: TableId, name: str) -> None:
    extra = pa.schema([*SCHEMA, pa.field("unknown", pa.string())])
    with CommittedStream(bq, name, extra) as wrong, pytest.raises(AppendRejected):
        wrong.append_at(0, pa.table({"n": [1], "unknown": ["x"]}, schema=extra))
    with CommittedStream(bq, name, SCHEMA) as right:
        assert right.append_at(0, rows(1)) == 1
    assert read(bq, table) == [1]


def test_threads_take_turns(bq: BigQuery, table: TableId, stream: CommittedStream) -> None:
    def insist(offset: int) -> int:
        while True:
            with contextlib.suppress(OffsetOutOfRange):
                return stream.append_at(offset, rows(offset))

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(insist, range(12))) == list(range(1, 13))
    assert read(bq, table) == list(range(12))


def test_an_append_of_nothing_changes_nothing(stream: CommittedStream, proxy: Proxy) -> None:
    assert stream.append_at(0, rows()) == 0
    assert proxy.connections == 0

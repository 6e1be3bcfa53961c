import threading
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest

from libs.bigquery.append_line import AppendLine, Request
from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.failures import (
    AppendCancelled,
    AppendRejected,
    RowTooLarge,
    StreamSealed,
    StreamsGone,
    WarehouseUnavailable,
)
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.jobs import query
from libs.bigquery.streams import Appender, Committed, commit, create_pending, finalize
from libs.bigquery.tables import Column, arrow_schema, ensure_table
from tests.integration.bigquery.proxy import Proxy, proxied

COLUMNS = [Column("n", "INT64", "REQUIRED"), Column("text", "STRING")]
SCHEMA = arrow_schema(COLUMNS)
SMALL = 20_000


@pytest.fixture
def table(bq: BigQuery, dataset: DatasetId) -> TableId:
    made = dataset.table("t")
    ensure_table(bq, made, COLUMNS)
    return made


@pytest.fixture
def stream(bq: BigQuery, table: TableId) -> str:
    return create_pending(bq, table)


@pytest.fixture
def proxy(connection: Connection) -> Iterator[Proxy]:
    with proxied(connection.storage_endpoint) as running:
        yield running


@pytest.fixture
def shaky(connection: Connection, proxy: Proxy) -> Iterator[BigQuery]:
    """BigQuery behind the proxy."""
    behind = Connection(connection.project, "US", connection.rest_endpoint, proxy.address)
    with connect(behind) as opened:
        yield opened


def rows(number: int, start: int = 0, width: int = 50) -> pa.Table:
    numbers = range(start, start + number)
    return pa.table({"n": numbers, "text": ["x" * width] * number}, schema=SCHEMA)


def landed(bq: BigQuery, table: TableId, stream: str) -> list[object]:
    finalize(bq, stream)
    assert isinstance(commit(bq, table, [stream]), Committed)
    return [row["n"] for row in query(bq, f"SELECT n FROM {table.sql} ORDER BY n")]


def test_rows_in_many_requests_land_once_each(bq: BigQuery, table: TableId, stream: str) -> None:
    with Appender(bq, stream, SCHEMA, request_bytes=SMALL) as appender:
        for start in range(0, 3_000, 100):
            appender.append(rows(100, start))
        assert appender.close() == 3_000
    assert landed(bq, table, stream) == list(range(3_000))


def test_a_stream_without_rows_is_closed_without_a_connection(bq: BigQuery, stream: str) -> None:
    with Appender(bq, stream, SCHEMA) as appender:
        appender.append(rows(0))
        assert appender.close() == 0


def test_rows_in_other_arrow_types_are_cast_to_the_tables(
    bq: BigQuery, table: TableId, stream: str
) -> None:
    other = pa.table(
        {"text": pa.array(["a", None], pa.large_string()), "n": pa.array([1, 2], pa.int16())}
    )
    with Appender(bq, stream, SCHEMA) as appender:
        appender.append(other.to_batches()[0])
        assert appender.close() == 2
    assert landed(bq, table, stream) == [1, 2]


def test_cut_connections_are_mended_without_loss_or_doubling(
    bq: BigQuery, table: TableId, stream: str, shaky: BigQuery, proxy: Proxy
) -> None:
    with Appender(shaky, stream, SCHEMA, request_bytes=SMALL, timeout=10) as appender:
        for number, start in enumerate(range(0, 3_000, 500)):
            if number % 2:
                proxy.cut_after(30_000)
            appender.append(rows(500, start))
        assert appender.close() == 3_000
    assert proxy.connections > 2
    assert landed(bq, table, stream) == list(range(3_000))


def test_a_lost_answer_is_asked_for_again_and_counts_once(
    bq: BigQuery, table: TableId, stream: str, shaky: BigQuery, proxy: Proxy
) -> None:
    with Appender(shaky, stream, SCHEMA, request_bytes=SMALL, timeout=10) as appender:
        appender.append(rows(300))
        proxy.silence(True)
        appender.append(rows(300, 300))
        proxy.cut()
        proxy.silence(False)
        assert appender.close() == 600
    assert landed(bq, table, stream) == list(range(600))


def test_when_bigquery_stays_away_the_append_fails_in_time_and_for_good(
    stream: str, shaky: BigQuery, proxy: Proxy
) -> None:
    with Appender(shaky, stream, SCHEMA, timeout=0.6) as appender:
        appender.append(rows(10))
        proxy.refuse(True)
        start = time.monotonic()
        for _ in range(2):
            with pytest.raises(WarehouseUnavailable, match=proxy.address):
                appender.close()
        assert time.monotonic() - start < 3


def test_a_server_that_never_answers_blocks_no_longer_than_the_timeout(
    stream: str, shaky: BigQuery, proxy: Proxy
) -> None:
    proxy.silence(True)
    start = time.monotonic()
    with (
        Appender(shaky, stream, SCHEMA, request_bytes=1, timeout=0.5) as appender,
        pytest.raises(WarehouseUnavailable),
    ):
        appender.append(rows(20))
    assert time.monotonic() - start < 3


def test_the_bytes_of_a_request_go_with_its_answer(bq: BigQuery, stream: str) -> None:
    request = Request(offset=0, row_count=10, data=rows(10).to_batches()[0].serialize())
    line = AppendLine(bq, stream, SCHEMA, timeout=10)
    line.send(request, max_in_flight=1)
    line.wait(request)
    line.close()
    assert (request.failure, len(request.data)) == (None, 0)


def test_a_cancel_reaches_a_blocked_append(stream: str, shaky: BigQuery, proxy: Proxy) -> None:
    proxy.silence(True)
    cancel = threading.Event()
    with Appender(shaky, stream, SCHEMA, request_bytes=1, timeout=30, cancel=cancel) as appender:
        threading.Timer(0.2, cancel.set).start()
        start = time.monotonic()
        with pytest.raises(AppendCancelled):
            appender.append(rows(20))
        assert time.monotonic() - start < 3


def test_rows_that_bigquery_refuses_fail_with_its_words(bq: BigQuery, stream: str) -> None:
    extra = pa.schema([*SCHEMA, pa.field("unknown", pa.string())])
    with Appender(bq, stream, extra) as appender:
        appender.append(pa.table({"n": [1], "text": ["a"], "unknown": ["b"]}, schema=extra))
        with pytest.raises(AppendRejected, match="unknown") as error:
            appender.close()
    assert error.value.reason == "ROWS_REJECTED"


def test_a_finalized_or_unknown_stream_is_told_apart(bq: BigQuery, stream: str) -> None:
    finalize(bq, stream)
    for name, kind in ((stream, StreamSealed), (f"{stream}x", StreamsGone)):
        with Appender(bq, name, SCHEMA) as appender:
            appender.append(rows(1))
            with pytest.raises(kind):
                appender.close()


def test_a_row_of_seven_mebibytes_goes_and_one_of_nine_is_refused(
    bq: BigQuery, table: TableId, stream: str
) -> None:
    with Appender(bq, stream, SCHEMA) as appender:
        appender.append(rows(1, 0, 7 * 1024 * 1024))
        with pytest.raises(RowTooLarge):
            appender.append(rows(1, 1, 9 * 1024 * 1024))
        assert appender.close() == 1
    assert landed(bq, table, stream) == [0]


def test_no_threads_are_left_behind(bq: BigQuery, stream: str) -> None:
    before = {thread for thread in threading.enumerate() if thread.name == "append"}
    with Appender(bq, stream, SCHEMA) as appender:
        appender.append(rows(5))
        appender.close()
    after = {thread for thread in threading.enumerate() if thread.name == "append"}
    assert after <= before

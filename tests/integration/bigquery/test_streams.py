import uuid

import pyarrow as pa
import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.failures import StreamsGone, TableNotFound, WarehouseUnavailable
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.jobs import query
from libs.bigquery.streams import (
    AlreadyCommitted,
    Appender,
    Committed,
    commit,
    create_pending,
    finalize,
)
from libs.bigquery.tables import Column, arrow_schema, ensure_table

COLUMNS = [Column("n", "INT64")]
SCHEMA = arrow_schema(COLUMNS)


@pytest.fixture
def table(bq: BigQuery, dataset: DatasetId) -> TableId:
    made = dataset.table("t")
    ensure_table(bq, made, COLUMNS)
    return made


def count(bq: BigQuery, table: TableId) -> object:
    return query(bq, f"SELECT COUNT(*) AS n FROM {table.sql}")[0]["n"]


def fill(bq: BigQuery, table: TableId, rows: int) -> str:
    stream = create_pending(bq, table)
    with Appender(bq, stream, SCHEMA) as appender:
        appender.append(pa.table({"n": range(rows)}, schema=SCHEMA))
        assert appender.close() == rows
    return stream


def test_rows_are_seen_only_after_the_commit_and_all_streams_at_once(
    bq: BigQuery, table: TableId
) -> None:
    streams = [fill(bq, table, rows) for rows in (3, 4)]
    assert [finalize(bq, stream) for stream in streams] == [3, 4]
    assert count(bq, table) == 0
    assert isinstance(commit(bq, table, streams), Committed)
    assert count(bq, table) == 7


def test_finalizing_again_answers_the_same_count(bq: BigQuery, table: TableId) -> None:
    stream = fill(bq, table, 5)
    assert {finalize(bq, stream) for _ in range(3)} == {5}


def test_a_repeated_commit_changes_nothing_and_says_so(bq: BigQuery, table: TableId) -> None:
    stream = fill(bq, table, 3)
    finalize(bq, stream)
    assert isinstance(commit(bq, table, [stream]), Committed)
    assert commit(bq, table, [stream]) == AlreadyCommitted(streams=(stream,))
    assert count(bq, table) == 3


def test_an_open_stream_is_not_committed(bq: BigQuery, table: TableId) -> None:
    stream = fill(bq, table, 3)
    assert isinstance(commit(bq, table, [stream]), AlreadyCommitted)
    assert count(bq, table) == 0


def test_with_one_stream_gone_nothing_is_committed(bq: BigQuery, table: TableId) -> None:
    stream, gone = fill(bq, table, 3), f"{table.path}/streams/{uuid.uuid4().hex}"
    finalize(bq, stream)
    with pytest.raises(StreamsGone) as error:
        commit(bq, table, [stream, gone])
    assert error.value.streams == (gone,)
    assert error.value.reason == "STREAM_GONE"
    assert count(bq, table) == 0
    with pytest.raises(StreamsGone):
        finalize(bq, gone)


@pytest.mark.parametrize("number", [0, 10_001])
def test_a_commit_takes_one_to_ten_thousand_streams(
    bq: BigQuery, table: TableId, number: int
) -> None:
    with pytest.raises(ValueError, match=f"{number} streams"):
        commit(bq, table, ["s"] * number)


def test_a_stream_needs_a_table(bq: BigQuery, dataset: DatasetId) -> None:
    with pytest.raises(TableNotFound) as error:
        create_pending(bq, dataset.table("nope"))
    assert error.value.metadata == {"table": str(dataset.table("nope"))}


def test_a_storage_api_that_is_down_is_unavailable_within_the_timeout(table: TableId) -> None:
    down = Connection("local", "US", "http://127.0.0.1:1", "127.0.0.1:1")
    with connect(down) as bq, pytest.raises(WarehouseUnavailable, match=r"127\.0\.0\.1:1 does not"):
        create_pending(bq, table, timeout=0.5)

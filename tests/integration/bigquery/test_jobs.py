import datetime as dt
import time
import uuid
from decimal import Decimal

import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.failures import (
    JobIdTaken,
    QueryRejected,
    TableNotFound,
    WarehouseUnavailable,
)
from libs.bigquery.ids import DatasetId, TableId
from libs.bigquery.jobs import dry_run, query, run_once, settle, stream
from libs.bigquery.parameters import Typed
from libs.bigquery.tables import Column, ensure_table
from tests.integration.bigquery.proxy import proxied

DAY = dt.date(2026, 1, 2)
COLUMNS = [Column("n", "INT64"), Column("day", "DATE")]


@pytest.fixture
def table(bq: BigQuery, dataset: DatasetId) -> TableId:
    made = dataset.table("t")
    ensure_table(bq, made, COLUMNS)
    return made


@pytest.fixture
def job_id() -> str:
    return f"job-{uuid.uuid4()}"


def count(bq: BigQuery, table: TableId) -> object:
    return query(bq, f"SELECT COUNT(*) AS n FROM {table.sql}")[0]["n"]


def test_a_statement_repeated_under_its_id_runs_once_and_answers_the_same(
    bq: BigQuery, table: TableId, job_id: str
) -> None:
    sql = f"INSERT INTO {table.sql} (n, day) VALUES (@n, @day), (2, @day)"
    finished = [
        run_once(bq, sql, job_id=job_id, parameters={"n": 1, "day": DAY}, labels={"tenant": "acme"})
        for _ in range(3)
    ]
    assert {(each.job_id, each.affected_rows) for each in finished} == {(job_id, 2)}
    assert count(bq, table) == 2


def test_a_select_under_an_id_answers_its_rows_again(bq: BigQuery, job_id: str) -> None:
    for _ in range(2):
        assert run_once(bq, "SELECT 7 AS n", job_id=job_id).rows == [{"n": 7}]


def test_a_failed_job_fails_again_in_bigquerys_words(bq: BigQuery, job_id: str) -> None:
    for _ in range(2):
        with pytest.raises(QueryRejected, match="bogus") as error:
            run_once(bq, "SELECT bogus", job_id=job_id)
        assert "\n" not in str(error.value)
        assert error.value.reason == "QUERY_REJECTED"


def test_an_id_of_another_statement_is_refused(bq: BigQuery, job_id: str) -> None:
    run_once(bq, "SELECT 1 AS n", job_id=job_id)
    with pytest.raises(JobIdTaken, match=job_id):
        run_once(bq, "SELECT 2 AS n", job_id=job_id)


def test_settling_tells_success_failure_and_absence_apart(
    bq: BigQuery, table: TableId, job_id: str
) -> None:
    assert settle(bq, job_id) is None
    run_once(bq, f"INSERT INTO {table.sql} (n) VALUES (1)", job_id=job_id)
    done = settle(bq, job_id)
    assert done is not None
    assert (done.succeeded, done.affected_rows, done.error) == (True, 1, "")
    with pytest.raises(QueryRejected):
        run_once(bq, "SELECT bogus", job_id=f"{job_id}-2")
    failed = settle(bq, f"{job_id}-2")
    assert failed is not None
    assert not failed.succeeded
    assert "bogus" in failed.error


def test_parameters_arrive_as_they_were(bq: BigQuery) -> None:
    sent = {
        "text": "a'b",
        "whole": 2**62,
        "money": Decimal("12345678901234567890.123456789012345678"),
        "day": DAY,
        "at": dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC),
        "yes": True,
        "nothing": Typed("STRING", None),
    }
    sql = "SELECT " + ", ".join(f"@{name} AS {name}" for name in sent)
    assert query(bq, sql, sent) == [{**sent, "nothing": None}]
    listed = query(bq, "SELECT n FROM UNNEST(@all) AS n ORDER BY n", {"all": [3, 1, 2]})
    assert [row["n"] for row in listed] == [1, 2, 3]


def test_a_missing_table_or_dataset_is_not_found(bq: BigQuery, dataset: DatasetId) -> None:
    for name in (dataset.table("nope").sql, "`nope.nope`"):
        with pytest.raises(TableNotFound, match="nope"):
            query(bq, f"SELECT 1 AS n FROM {name}")


def test_a_dry_run_checks_and_says_none_for_what_is_unknown(bq: BigQuery, table: TableId) -> None:
    dry = dry_run(bq, f"SELECT n FROM {table.sql}")
    assert dry.columns == (Column("n", "INT64"),)
    assert dry.bytes_processed is None
    with pytest.raises(QueryRejected, match="bogus"):
        dry_run(bq, f"SELECT bogus FROM {table.sql}")


def test_a_bigquery_that_is_down_is_unavailable_within_the_timeout() -> None:
    down = Connection("local", "US", "http://127.0.0.1:1", "127.0.0.1:1")
    start = time.monotonic()
    with connect(down) as bq:
        for call in (query, dry_run):
            with pytest.raises(WarehouseUnavailable, match=r"http://127.0.0.1:1 does not answer"):
                call(bq, "SELECT 1 AS n", timeout=0.4)
        with pytest.raises(WarehouseUnavailable):
            settle(bq, "any", timeout=0.4)
    assert time.monotonic() - start < 4


def test_a_cut_connection_does_not_run_a_statement_twice(
    connection: Connection, bq: BigQuery, table: TableId, job_id: str
) -> None:
    with proxied(connection.rest_endpoint.removeprefix("http://")) as proxy:
        shaky = Connection(
            connection.project, "US", f"http://{proxy.address}", connection.storage_endpoint
        )
        with connect(shaky) as through:
            query(through, "SELECT 1 AS n")
            proxy.cut()
            sql = f"INSERT INTO {table.sql} (n) VALUES (1)"
            assert run_once(through, sql, job_id=job_id).affected_rows == 1
            proxy.silence(True)
            with pytest.raises(WarehouseUnavailable):
                run_once(through, sql, job_id=f"{job_id}-2", timeout=1)
            proxy.cut()
            proxy.silence(False)
            assert run_once(through, sql, job_id=f"{job_id}-2").affected_rows == 1
    assert count(bq, table) == 2


def test_a_stream_of_rows_is_in_order_over_all_its_pages(bq: BigQuery) -> None:
    rows = stream(bq, "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 25000)) AS n ORDER BY n")
    assert [row["n"] for row in rows] == list(range(1, 25001))


def test_a_stream_that_nobody_reads_to_its_end_is_closed(bq: BigQuery) -> None:
    rows = stream(bq, "SELECT n FROM UNNEST(GENERATE_ARRAY(1, 25000)) AS n ORDER BY n")
    assert next(rows) == {"n": 1}
    rows.close()
    assert list(rows) == []


def test_a_stream_of_what_is_refused_or_not_there_fails_before_its_first_row(
    bq: BigQuery, dataset: DatasetId
) -> None:
    with pytest.raises(QueryRejected, match="bogus"):
        next(stream(bq, "SELECT bogus"))
    with pytest.raises(TableNotFound):
        next(stream(bq, f"SELECT 1 AS n FROM {dataset.table('none').sql}"))


@pytest.mark.parametrize("more", ["", ", TRUE AS b", ", [1, 2] AS many, NUMERIC '1.5' AS m"])
def test_a_stream_reads_cells_as_a_query_does(bq: BigQuery, more: str) -> None:
    sql = (
        "SELECT -7 AS n, 9223372036854775807 AS most, '' AS e, 'ü\\n' AS t, CAST(NULL AS STRING) AS no,"
        " CAST(NULL AS INT64) AS none, CAST(NULL AS TIMESTAMP) AS never,"
        " TIMESTAMP '1969-12-31 23:59:59.999999+00:00' AS before,"
        f" TIMESTAMP '2026-01-02 03:04:05.123456+00:00' AS at_{more}"
    )
    found = list(stream(bq, sql))
    assert found == query(bq, sql)
    assert found[0]["before"] == dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC)

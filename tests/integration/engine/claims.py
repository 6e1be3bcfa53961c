"""What each fix of the engine is for: a check that holds with the fix and fails without it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import grpc
import pyarrow as pa
import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, NotFound
from google.cloud import bigquery

from tests.integration.engine.warehouse import CALL_SECONDS, Warehouse
from tests.support.appending import COMMITTED, PENDING, append, append_request, open_stream

EXACT = Decimal("12345678901234567890.123456789012345678")
REFUSED = grpc.StatusCode.INVALID_ARGUMENT.value[0]
MERGE_ROWS = 40_000


def spatial_from_package(warehouse: Warehouse) -> None:
    installed = "SELECT install_path FROM duckdb_extensions() WHERE extension_name = 'spatial'"
    assert warehouse.rows(installed)[0][0] in (None, "")


def cursor_per_thread(warehouse: Warehouse) -> None:
    """Readers get their own rows while an append connection writes."""
    table = warehouse.table("t", ("i", "INT64"))
    stream = f"{_path(warehouse, 't')}/streams/_default"
    rows = pa.record_batch([pa.array([1] * 500)], names=["i"])
    faults: list[str] = []
    done = threading.Event()

    def write() -> None:
        writer = warehouse.engine.write_client()
        while not done.is_set():
            try:
                append(writer, stream, rows)
            except GoogleAPICallError as error:
                faults.append(repr(error))
                return

    threads = [threading.Thread(target=write, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 1.5
    try:
        while time.monotonic() < end:
            assert warehouse.rows("SELECT 1 AS a, 'b' AS b", seconds=3) == [(1, "b")]
    finally:
        done.set()
    for thread in threads:
        thread.join(CALL_SECONDS)
    assert not faults
    assert table


def one_writer(warehouse: Warehouse) -> None:
    """A statement that rewrites a table and appends to it do not fail on each other."""
    warehouse.table("t", ("i", "INT64"), ("n", "INT64"))
    stream = f"{_path(warehouse, 't')}/streams/_default"
    rows = pa.record_batch([pa.array(range(200)), pa.array([0] * 200)], names=["i", "n"])
    faults: list[str] = []
    end = time.monotonic() + 1.5

    def write() -> None:
        writer = warehouse.engine.write_client()
        while time.monotonic() < end:
            faults.extend(r.error.message for r in append(writer, stream, rows) if r.error.code)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(1000):
            if time.monotonic() > end:
                break
            warehouse.run(f"ALTER TABLE `{{d}}.t` ADD COLUMN IF NOT EXISTS c{number % 2} INT64")
            warehouse.run(f"ALTER TABLE `{{d}}.t` DROP COLUMN c{number % 2}")
            warehouse.run("UPDATE `{d}.t` SET n = n + 1 WHERE i = 1")
    finally:
        for thread in threads:
            thread.join(CALL_SECONDS)
    assert not faults


def no_copy_per_write(warehouse: Warehouse) -> None:
    copies = "SELECT COUNT(*) AS n FROM duckdb_tables() WHERE schema_name = '_bqemulator_snapshots'"
    warehouse.table("t", ("i", "INT64"))
    warehouse.run("INSERT INTO `{d}.t` (i) VALUES (1)")
    assert warehouse.rows(copies) == [(0,)]


def atomic_batch_commit(warehouse: Warehouse) -> None:
    """A commit that fails on one stream stores nothing, and succeeds once the cause is gone."""
    table = warehouse.table("t", ("i", "INT64"), ("j", "JSON"))
    good = pa.record_batch([pa.array([1]), pa.array(["{}"])], names=["i", "j"])
    malformed = pa.record_batch([pa.array([2]), pa.array(["{"])], names=["i", "j"])
    streams = warehouse.stage(table, good, malformed)
    with pytest.raises(GoogleAPICallError):
        warehouse.commit(table, streams)
    assert warehouse.rows("SELECT i FROM `{d}.t`") == []
    assert warehouse.commit(table, streams[:1]).commit_time
    assert warehouse.rows("SELECT i FROM `{d}.t`") == [(1,)]


def failed_append_keeps_offset(warehouse: Warehouse) -> None:
    """A COMMITTED append refused by the database may be sent again, right, at the same offset."""
    table = warehouse.table("t", ("i", "INT64"), ("j", "JSON"))
    stream = open_stream(warehouse.writer, table, COMMITTED)
    malformed = pa.record_batch([pa.array([1]), pa.array(["{"])], names=["i", "j"])
    good = pa.record_batch([pa.array([1]), pa.array(["{}"])], names=["i", "j"])
    requests = iter([append_request(stream, rows, 0) for rows in (malformed, good)])
    responses = warehouse.writer.append_rows(requests, timeout=CALL_SECONDS)
    assert [response.error.code for response in responses] == [REFUSED, 0]
    assert warehouse.rows("SELECT i FROM `{d}.t`") == [(1,)]
    done = warehouse.writer.finalize_write_stream(name=stream, timeout=CALL_SECONDS)
    assert done.row_count == 1


def many_append_connections(warehouse: Warehouse) -> None:
    """Forty open append connections leave room for the next call."""
    table = warehouse.table("t", ("i", "INT64"))
    rows = pa.record_batch([pa.array([1])], names=["i"])
    more = threading.Event()
    calls = []
    try:
        for _ in range(40):
            stream = open_stream(warehouse.writer, table, PENDING)

            def requests(stream: str = stream):  # type: ignore[no-untyped-def]
                yield append_request(stream, rows)
                more.wait(CALL_SECONDS)

            call = warehouse.writer.append_rows(requests(), timeout=5)
            assert not next(iter(call)).error.code
            calls.append(call)
        assert open_stream(warehouse.writer, table, PENDING)
    finally:
        more.set()
        for call in calls:
            call.cancel()


def strict_arrow_rows(warehouse: Warehouse) -> None:
    """Rows with an unknown column or a null in a REQUIRED one are refused, and nothing is stored."""
    table = warehouse.table("t", ("i", "INT64", "REQUIRED"), ("n", "STRING"))
    one, text = pa.array([1]), pa.array(["x"])
    unknown = pa.record_batch([one, text], names=["i", "other"])
    missing = pa.record_batch([text], names=["n"])
    null = pa.record_batch([pa.array([None], pa.int64())], names=["i"])
    cased = pa.record_batch([one, text], names=["I", "N"])
    stream = open_stream(warehouse.writer, table, PENDING)
    codes = [
        response.error.code
        for response in append(warehouse.writer, stream, unknown, missing, null, cased)
    ]
    assert codes == [REFUSED, REFUSED, REFUSED, 0]
    warehouse.writer.finalize_write_stream(name=stream, timeout=CALL_SECONDS)
    warehouse.commit(table, [stream])
    assert warehouse.rows("SELECT i, n FROM `{d}.t`") == [(1, "x")]


def numeric_nine_digits(warehouse: Warehouse) -> None:
    """A bare NUMERIC keeps nine digits in DDL and in CAST."""
    value = Decimal("12345678901234567890.123456789")
    warehouse.run("CREATE TABLE `{d}.t` (n NUMERIC)")
    warehouse.run(f"INSERT INTO `{{d}}.t` (n) VALUES (CAST('{value}' AS NUMERIC))")
    assert warehouse.rows("SELECT n FROM `{d}.t`") == [(value,)]
    assert warehouse.rows(f"SELECT CAST('{value}' AS NUMERIC) AS n") == [(value,)]


def bignumeric_eighteen_digits(warehouse: Warehouse) -> None:
    """A BIGNUMERIC of 20 and 18 digits is the same after DDL, INSERT, SUM and MAX."""
    warehouse.run("CREATE TABLE `{d}.t` (n BIGNUMERIC)")
    warehouse.run(f"INSERT INTO `{{d}}.t` (n) VALUES (BIGNUMERIC '{EXACT}')")
    total = "SELECT SUM(n) AS a, MAX(n) AS b, CAST('0.1' AS BIGNUMERIC) AS c FROM `{d}.t`"
    assert warehouse.rows(total) == [(EXACT, EXACT, Decimal("0.1"))]


def schema_of_sql_tables(warehouse: Warehouse) -> None:
    """Tables made by DDL and CTAS are listed with BIGNUMERIC and JSON columns."""
    warehouse.run("CREATE TABLE `{d}.t` (n BIGNUMERIC, j JSON, m NUMERIC)")
    warehouse.run("CREATE TABLE `{d}.u` AS SELECT * FROM `{d}.t`")
    expected = {"n": "BIGNUMERIC", "j": "JSON", "m": "NUMERIC"}
    assert (warehouse.types("t"), warehouse.types("u")) == (expected, expected)


def typed_parameters(warehouse: Warehouse) -> None:
    """Parameters have their declared type, and `@name` in a text stays a text."""
    got = warehouse.rows(
        "SELECT '@a' AS quoted, @a AS a, @b AS b, DATE '2026-01-01' IN UNNEST(@days) AS c",
        a=("STRING", "x"),
        b=("BYTES", b"\x00\xff"),
        days=("ARRAY<DATE>", []),
    )
    assert got == [("@a", "x", b"\x00\xff", False)]
    job = warehouse.run("SELECT @n AS n", n=("BIGNUMERIC", Decimal(1)))
    assert [field.field_type for field in job.result().schema] == ["BIGNUMERIC"]


def merge_by_hash(warehouse: Warehouse) -> None:
    """A MERGE whose ON carries constants takes a moment, not seconds."""
    for name in ("t", "s"):
        warehouse.run(
            f"CREATE TABLE `{{d}}.{name}` AS SELECT k, DATE '2026-01-02' AS day, '{name}' AS v "
            f"FROM UNNEST(GENERATE_ARRAY(1, {MERGE_ROWS})) AS k"
        )
    start = time.monotonic()
    job = warehouse.run(
        "MERGE `{d}.t` t USING `{d}.s` s ON t.k = s.k AND t.day IN (DATE '2026-01-02') "
        "AND s.day >= '2026-01-01' AND t.day IN UNNEST(@days) "
        "WHEN MATCHED THEN UPDATE SET v = s.v "
        "WHEN NOT MATCHED THEN INSERT (k, day, v) VALUES (s.k, s.day, s.v)",
        days=("ARRAY<DATE>", ["2026-01-02"]),
    )
    assert job.num_dml_affected_rows == MERGE_ROWS
    assert time.monotonic() - start < 1


def one_source_row(warehouse: Warehouse) -> None:
    """Two source rows for one target row are an error when they would change it."""
    warehouse.run("CREATE TABLE `{d}.t` AS SELECT 1 AS k, 'old' AS v")
    twice = "USING (SELECT 1 AS k, 'a' AS v UNION ALL SELECT 1, 'b') s ON t.k = s.k"
    insert = "WHEN NOT MATCHED THEN INSERT (k, v) VALUES (s.k, s.v)"
    warehouse.run(f"MERGE `{{d}}.t` t {twice} {insert}")
    with pytest.raises(BadRequest, match="at most one source row"):
        warehouse.run(f"MERGE `{{d}}.t` t {twice} WHEN MATCHED THEN UPDATE SET v = s.v")
    assert warehouse.rows("SELECT v FROM `{d}.t`") == [("old",)]


def one_job_per_id(warehouse: Warehouse) -> None:
    """A job id runs once; the second try is told 409."""
    warehouse.run("CREATE TABLE `{d}.t` (i INT64)")
    name = warehouse.dataset.rpartition(".")[2]
    sql = f"INSERT INTO `{warehouse.dataset}.t` (i) VALUES (1)"
    warehouse.client.query(sql, job_id=f"job-{name}", job_retry=None).result()
    with pytest.raises(Conflict):
        warehouse.client.query(sql, job_id=f"job-{name}", job_retry=None).result()
    assert warehouse.rows("SELECT COUNT(*) AS n FROM `{d}.t`") == [(1,)]


def old_results_freed(warehouse: Warehouse) -> None:
    """The result of a query is forgotten after many large ones."""
    first = warehouse.run("SELECT 1 AS a")
    for _ in range(5):
        warehouse.run("SELECT REPEAT('x', 64000000) AS big")
    again = bigquery.Client.get_job(warehouse.client, first.job_id)
    with pytest.raises(NotFound):
        list(again.result(retry=None, timeout=CALL_SECONDS))


def _path(warehouse: Warehouse, table: str) -> str:
    project, dataset = warehouse.dataset.split(".")
    return f"projects/{project}/datasets/{dataset}/tables/{table}"


Claim = Callable[[Warehouse], None]

CLAIMS: Final[dict[str, Claim]] = {
    claim.__name__: claim
    for claim in (
        spatial_from_package,
        cursor_per_thread,
        one_writer,
        no_copy_per_write,
        atomic_batch_commit,
        failed_append_keeps_offset,
        many_append_connections,
        strict_arrow_rows,
        numeric_nine_digits,
        bignumeric_eighteen_digits,
        schema_of_sql_tables,
        typed_parameters,
        merge_by_hash,
        one_source_row,
        one_job_per_id,
        old_results_freed,
    )
}

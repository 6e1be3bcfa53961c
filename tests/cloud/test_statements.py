"""What is believed of statements that change tables."""

from __future__ import annotations

import datetime as dt
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError
from google.cloud import bigquery

from tests.cloud.places import differs
from tests.cloud.scratch import SECONDS, Scratch, numbers
from tests.support.appending import COMMITTED, ONCE

DAYS = 20
REPLACE = (
    "MERGE `{target}` t USING `{source}` s ON t.run = s.run AND t.k = s.k "
    "WHEN NOT MATCHED BY SOURCE AND t.day = DATE '2026-01-02' THEN DELETE "
    "WHEN NOT MATCHED THEN INSERT (run, k, day) VALUES (run, k, day)"
)
NINES = "9" * 29 + "." + "9" * 9
EXTREMES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "NUMERIC": (pa.decimal128(38, 9), [Decimal(NINES), Decimal(f"-{NINES}"), Decimal("1E-9")]),
    "STRING": (pa.string(), ["", "é😀\n", "x" * 100_000]),
    "BYTES": (pa.binary(), [b"", b"\x00\xff"]),
    "BOOL": (pa.bool_(), [True, False]),
    "INT64": (pa.int64(), [2**63 - 1, -(2**63)]),
    "FLOAT64": (pa.float64(), [0.1, 1.7976931348623157e308, 5e-324]),
    "DATE": (pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31)]),
    "TIMESTAMP": (
        pa.timestamp("us", "UTC"),
        [
            dt.datetime(1, 1, 1, tzinfo=dt.UTC),
            dt.datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
        ],
    ),
    "DATETIME": (pa.timestamp("us"), [dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59)]),  # noqa: DTZ001 a civil time has no zone
    "TIME": (pa.time64("us"), [dt.time(0), dt.time(23, 59, 59, 999999)]),
}


def replaced(at: Scratch) -> tuple[str, str]:
    """Return a target with 1,000 rows of a run and a source with as many of the next."""
    target, source = at.named(), at.named()
    for table, run in ((target, "a"), (source, "b")):
        at.run(
            f"CREATE TABLE `{table}` AS SELECT '{run}' AS run, k, DATE '2026-01-02' AS day "
            "FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS k"
        )
    return target, source


def test_a_merge_that_replaces_is_seen_at_once(at: Scratch) -> None:
    target, source = replaced(at)
    seen, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(at.rows(f"SELECT run, COUNT(*) AS n FROM `{target}` GROUP BY run"))

    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read)
        try:
            at.run(REPLACE.format(target=target, source=source))
        finally:
            done.set()
        reading.result(SECONDS)
    assert all(found in ([("a", 1000)], [("b", 1000)]) for found in seen)
    assert at.rows(f"SELECT run, COUNT(*) AS n FROM `{target}` GROUP BY run") == [("b", 1000)]


def test_rows_of_a_json_parameter_are_merged_as_they_were_given(at: Scratch) -> None:
    target = at.table(("t", "STRING"), ("n", "INT64"), ("b", "BOOL"), ("made", "TIMESTAMP"))
    odd = 'it\'s "odd"\\\n\t\u2028é😀{}[]$.'
    time = dt.datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=dt.UTC)
    rows = [(odd, 2**63 - 1, True, time), (None, -(2**63), False, None)]
    given = [dict(zip(("t", "n", "b", "made"), row, strict=True)) for row in rows]
    known = [{k: v for k, v in row.items() if v is not None} for row in given]
    at.run(
        f"MERGE `{target}` t USING (SELECT JSON_VALUE(entry, '$.t') AS t,"
        " CAST(JSON_VALUE(entry, '$.n') AS INT64) AS n, CAST(JSON_VALUE(entry, '$.b') AS BOOL) AS b,"
        " CAST(JSON_VALUE(entry, '$.made') AS TIMESTAMP) AS made"
        " FROM UNNEST(JSON_QUERY_ARRAY(@entries)) AS entry) s ON t.n = s.n"
        " WHEN NOT MATCHED THEN INSERT (t, n, b, made) VALUES (s.t, s.n, s.b, s.made)",
        bigquery.ScalarQueryParameter(
            "entries", "STRING", json.dumps(known, default=str, ensure_ascii=False)
        ),
    )
    assert at.rows(f"SELECT t, n, b, made FROM `{target}` ORDER BY n DESC") == rows


def test_a_merge_repeated_changes_nothing(at: Scratch) -> None:
    target, source = replaced(at)
    at.run(REPLACE.format(target=target, source=source))
    again = at.run(REPLACE.format(target=target, source=source))
    assert again.num_dml_affected_rows == 0
    assert at.rows(f"SELECT run, COUNT(*) AS n FROM `{target}` GROUP BY run") == [("b", 1000)]


@differs("it has no partitions, and says no bytes")
def test_a_merge_reads_the_partitions_alone_that_its_condition_names(at: Scratch) -> None:
    target, source = at.named(), at.named()
    rows = (
        "SELECT 'a' AS run, k, DATE_ADD(DATE '2026-01-01', INTERVAL MOD(k, {days}) DAY) AS day "
        "FROM UNNEST(GENERATE_ARRAY(1, 100000)) AS k"
    )
    at.run(f"CREATE TABLE `{target}` PARTITION BY day AS {rows.format(days=DAYS)}")
    at.run(f"CREATE TABLE `{source}` AS {rows.format(days=1)} LIMIT 10")
    pruned = "t.day IN (DATE '2026-01-02')"
    job = at.run(
        f"MERGE `{target}` t USING `{source}` s ON t.k = s.k AND {pruned} "
        "WHEN NOT MATCHED BY SOURCE AND t.day = DATE '2026-01-02' THEN DELETE"
    )
    whole = at.submit(f"SELECT * FROM `{target}`", dry_run=True)
    assert 0 < job.total_bytes_processed < whole.total_bytes_processed / 4


def test_two_source_rows_for_one_target_row_fail_a_merge_and_change_nothing(at: Scratch) -> None:
    target = at.table(("k", "INT64"), ("v", "STRING"))
    at.run(f"INSERT INTO `{target}` (k, v) VALUES (1, 'old')")
    with pytest.raises(BadRequest):
        at.run(
            f"MERGE `{target}` t USING (SELECT 1 AS k, 'a' AS v UNION ALL SELECT 1, 'b') s "
            "ON t.k = s.k WHEN MATCHED THEN UPDATE SET v = s.v"
        )
    assert at.rows(f"SELECT v FROM `{target}`") == [("old",)]


def test_a_statement_that_fails_half_way_changes_nothing(at: Scratch) -> None:
    table = at.table()
    with pytest.raises(GoogleAPICallError):
        at.run(
            f"INSERT INTO `{table}` (n) "
            "SELECT IF(n < 999, n, ERROR('no')) FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS n"
        )
    assert at.count(table) == 0


@pytest.mark.parametrize("written", ["committed at once", "by a commit"])
def test_rows_that_were_just_written_can_be_changed_at_once(at: Scratch, written: str) -> None:
    table, source = at.table(), at.table()
    at.run(f"INSERT INTO `{source}` (n) VALUES (1), (7)")
    if written == "by a commit":
        at.commit(table, at.staged(table, numbers(3)))
    else:
        at.append(at.open(table, COMMITTED), numbers(3), offset=0)
    at.run(
        f"MERGE `{table}` t USING `{source}` s ON t.n = s.n "
        "WHEN NOT MATCHED THEN INSERT (n) VALUES (n) WHEN NOT MATCHED BY SOURCE THEN DELETE"
    )
    assert at.rows(f"SELECT n FROM `{table}` ORDER BY n") == [(1,), (7,)]
    at.run(f"DELETE FROM `{table}` WHERE n = 7")
    assert at.rows(f"SELECT n FROM `{table}`") == [(1,)]


@pytest.mark.parametrize("kind", EXTREMES)
def test_the_extremes_of_a_type_are_appended_and_read_as_they_are(at: Scratch, kind: str) -> None:
    arrow, values = EXTREMES[kind]
    table = at.table(("i", "INT64"), ("v", kind))
    rows = pa.RecordBatch.from_pydict(
        {"i": pa.array(range(len(values)), pa.int64()), "v": pa.array(values, arrow)}
    )
    at.commit(table, at.staged(table, rows))
    assert at.rows(f"SELECT v FROM `{table}` ORDER BY i") == [(value,) for value in values]


def test_a_json_column_takes_a_text_and_keeps_its_value(at: Scratch) -> None:
    table = at.table(("v", "JSON"))
    rows = pa.RecordBatch.from_pydict({"v": ['{"a": [1, "é"]}']})
    at.commit(table, at.staged(table, rows))
    assert at.rows(f"SELECT JSON_VALUE(v, '$.a[1]') AS v FROM `{table}`") == [("é",)]


@differs("it keeps 38 digits in all, 18 of them after the point")
def test_a_bignumeric_has_thirty_eight_digits_on_either_side_of_the_point(at: Scratch) -> None:
    values = [Decimal("9" * 38 + "." + "9" * 38), Decimal("1E-38")]
    table = at.table(("i", "INT64"), ("v", "BIGNUMERIC"))
    rows = pa.RecordBatch.from_pydict(
        {"i": pa.array([0, 1], pa.int64()), "v": pa.array(values, pa.decimal256(76, 38))}
    )
    at.commit(table, at.staged(table, rows))
    assert at.rows(f"SELECT v FROM `{table}` ORDER BY i") == [(value,) for value in values]


def test_sums_of_money_are_exact(at: Scratch) -> None:
    table = at.table(("v", "BIGNUMERIC"))
    values = [Decimal(f"{n}.{n:018d}") for n in range(1000)]
    rows = pa.RecordBatch.from_pydict({"v": pa.array(values, pa.decimal256(76, 38))})
    at.commit(table, at.staged(table, rows))
    assert at.rows(f"SELECT SUM(v) AS v FROM `{table}`") == [(sum(values),)]


def test_a_number_that_does_not_fit_its_type_is_refused_not_cut(at: Scratch) -> None:
    with pytest.raises(BadRequest):
        at.run(f"SELECT CAST('{'9' * 30}' AS NUMERIC) AS v")


def test_a_script_of_statements_is_no_transaction_unless_it_says_so(at: Scratch) -> None:
    """What was changed before the failure stays: the product publishes in one statement."""
    table = at.table()
    with pytest.raises(GoogleAPICallError):
        at.run(f"INSERT INTO `{table}` (n) VALUES (1); SELECT ERROR('no');")
    assert at.count(table) == 1


def test_a_table_can_be_read_as_soon_as_sql_has_made_it(at: Scratch) -> None:
    table = at.named()
    at.run(f"CREATE TABLE `{table}` AS SELECT 1 AS n")
    found = at.client.get_table(table, retry=ONCE, timeout=SECONDS)
    assert [field.name for field in found.schema] == ["n"]
    assert at.count(table) == 1

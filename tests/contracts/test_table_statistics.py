"""What everybody who reads tables for quality answers, in memory and in BigQuery."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from libs.bigquery.client import BigQuery, Connection, connect
from libs.bigquery.columns import Column as TableColumn
from libs.bigquery.columns import arrow_schema
from libs.bigquery.datasets import ensure_dataset
from libs.bigquery.ids import DatasetId
from libs.bigquery.streams import Appender, commit, create_pending, finalize
from libs.bigquery.tables import ensure_table
from libs.common.errors import NotFound, Unavailable
from services.quality.bigquery_statistics import BigQueryStatistics
from services.quality.checks import (
    Aggregate,
    Column,
    Duplicates,
    Ignore,
    Measure,
    Range,
    RowCount,
    TableCheck,
)
from services.quality.statistics import MemoryTableStatistics, Statistics, TableStatistics
from tests.support.engine import Engine

TYPES = {
    "n": "INT64",
    "money": "NUMERIC",
    "cost": "BIGNUMERIC",
    "ratio": "FLOAT64",
    "word": "STRING",
    "day": "DATE",
    "at": "DATETIME",
    "moment": "TIMESTAMP",
    "flag": "BOOL",
}
LATE = dt.datetime.fromisoformat("2024-02-29T23:59:59.999999")
ROWS: list[dict[str, Any]] = [
    {
        "n": 9007199254740993,
        "money": Decimal("0.000000001"),
        "cost": Decimal("12345678901234567890.123456789012345678"),
        "ratio": 0.5,
        "word": "a",
        "day": LATE.date(),
        "at": LATE,
        "moment": LATE.replace(tzinfo=dt.UTC),
        "flag": True,
    },
    {
        "n": 1,
        "money": Decimal(-5),
        "cost": Decimal("0.1"),
        "ratio": math.nan,
        "word": "A",
        "day": dt.date(1, 1, 1),
        "at": dt.datetime.fromisoformat("0001-01-01"),
        "moment": dt.datetime(1970, 1, 1, tzinfo=dt.UTC),
        "flag": True,
    },
    dict.fromkeys(TYPES),
    {**dict.fromkeys(TYPES), "n": 1, "ratio": 0.25, "word": "a", "cost": Decimal("0.2")},
    {**dict.fromkeys(TYPES), "ratio": math.nan, "word": ""},
]
TABLE = "local.acme_staging.usage__r1"
EMPTY = "local.acme_staging.empty__r1"


@pytest.fixture(scope="module")
def warehouse(engine: Engine) -> Iterator[BigQuery]:
    """BigQuery with a table of ROWS and an empty one."""
    with connect(Connection("local", "US", engine.rest, engine.grpc)) as bq:
        dataset = DatasetId("local", "acme_staging")
        columns = [TableColumn(name, type_) for name, type_ in TYPES.items()]
        ensure_dataset(bq, dataset, tenant="acme")
        for name in ("usage__r1", "empty__r1"):
            ensure_table(bq, dataset.table(name), columns)
        _append(bq, dataset, columns)
        yield bq


def _append(bq: BigQuery, dataset: DatasetId, columns: list[TableColumn]) -> None:
    table = dataset.table("usage__r1")
    schema = arrow_schema(columns)
    stream = create_pending(bq, table)
    appender = Appender(bq, stream, schema)
    appender.append(pa.Table.from_pylist(ROWS, schema=schema))
    appender.close()
    finalize(bq, stream)
    commit(bq, table, [stream])


@pytest.fixture(params=["memory", "bigquery"])
def statistics(request: pytest.FixtureRequest) -> TableStatistics:
    if request.param == "memory":
        return MemoryTableStatistics({TABLE: ROWS, EMPTY: []})
    return BigQueryStatistics(request.getfixturevalue("warehouse"))


def aggregate(measure: Measure, name: str) -> Aggregate:
    return Aggregate(measure=measure, column=Column(name=name, type=TYPES[name]), range=Range())


def duplicates(*names: str, ignore: Ignore = Ignore.ALL_MISSING) -> Duplicates:
    columns = tuple(Column(name=name, type=TYPES[name]) for name in names)
    return Duplicates(columns=columns, ignore=ignore)


async def read(
    statistics: TableStatistics, *checks: TableCheck, table: str = TABLE
) -> list[tuple[object, ...]]:
    """Return the two values of every check that has values."""
    found = await statistics.read(table, checks)
    return [_pair(found, i, check) for i, check in enumerate(checks)]


def _pair(found: Statistics, i: int, check: TableCheck) -> tuple[object, ...]:
    if isinstance(check, RowCount):
        return (found.row_count,)
    letters = "ux" if isinstance(check, Duplicates) else "vn"
    return tuple(found.values[f"{letter}{i}"] for letter in letters)


async def test_rows_are_counted(statistics: TableStatistics) -> None:
    assert await read(statistics, RowCount(range=Range())) == [(5,)]
    assert await read(statistics, RowCount(range=Range()), table=EMPTY) == [(0,)]


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("n", Decimal(9007199254740995)),
        ("money", Decimal("-4.999999999")),
        ("cost", Decimal("12345678901234567890.423456789012345678")),
    ],
)
@pytest.mark.parametrize("measure", [Measure.SUM, Measure.MEAN])
async def test_sums_keep_every_digit(
    statistics: TableStatistics, measure: Measure, name: str, total: Decimal
) -> None:
    present = sum(row[name] is not None for row in ROWS)
    assert await read(statistics, aggregate(measure, name)) == [(total, present)]


@pytest.mark.parametrize("name", ["n", "money", "cost", "day", "at", "moment"])
async def test_least_and_greatest_are_values_of_the_column(
    statistics: TableStatistics, name: str
) -> None:
    values = [row[name] for row in ROWS if row[name] is not None]
    found = await read(statistics, aggregate(Measure.MIN, name), aggregate(Measure.MAX, name))
    assert found == [(min(values), len(values)), (max(values), len(values))]


async def test_nan_is_no_value(statistics: TableStatistics) -> None:
    found = await read(
        statistics,
        aggregate(Measure.SUM, "ratio"),
        aggregate(Measure.MAX, "ratio"),
        duplicates("ratio", ignore=Ignore.ANY_MISSING),
        duplicates("ratio", "flag"),
    )
    assert found == [(0.75, 2), (0.5, 2), (0, 3), (0, 2)]


@pytest.mark.parametrize(
    ("checked", "unexpected", "left_out"),
    [
        (duplicates("word", ignore=Ignore.ANY_MISSING), 2, 1),
        (duplicates("n", ignore=Ignore.ANY_MISSING), 2, 2),
        (duplicates("n", ignore=Ignore.NONE), 4, 0),
        (duplicates("n", "word"), 0, 1),
        (duplicates("flag", "day"), 0, 3),
        (duplicates("flag", "day", ignore=Ignore.NONE), 3, 0),
        (duplicates("flag", "money", ignore=Ignore.ANY_MISSING), 0, 3),
        (duplicates("flag"), 2, 3),
    ],
    ids=[
        "one column", "whole numbers", "null as a value", "all missing", "two columns",
        "nulls as values", "any missing", "flags",
    ],
)  # fmt: skip
async def test_all_rows_of_a_double_are_unexpected(
    statistics: TableStatistics, checked: Duplicates, unexpected: int, left_out: int
) -> None:
    assert await read(statistics, checked) == [(unexpected, left_out)]


async def test_of_nothing_no_aggregate_is_known(statistics: TableStatistics) -> None:
    checks = [aggregate(measure, "cost") for measure in Measure]
    assert await read(statistics, *checks, table=EMPTY) == [(None, 0)] * 4
    assert await read(statistics, duplicates("n", "word"), table=EMPTY) == [(0, 0)]


async def test_answers_stand_by_the_number_of_the_check(statistics: TableStatistics) -> None:
    found = await read(
        statistics,
        aggregate(Measure.MAX, "n"),
        RowCount(range=Range()),
        duplicates("flag"),
        aggregate(Measure.MIN, "n"),
    )
    assert found == [(9007199254740993, 3), (5,), (2, 3), (1, 3)]


async def test_a_missing_table_is_said_to_be_missing(statistics: TableStatistics) -> None:
    with pytest.raises(NotFound) as failed:
        await statistics.read("local.acme_staging.gone__r1", [RowCount(range=Range())])
    assert failed.value.reason == "TABLE_NOT_FOUND"
    assert failed.value.metadata == {"table": "local.acme_staging.gone__r1"}


@pytest.fixture(params=["memory", "bigquery"])
def absent(request: pytest.FixtureRequest) -> Iterator[TableStatistics]:
    """Somebody who cannot reach the tables."""
    if request.param == "memory":
        memory = MemoryTableStatistics({TABLE: ROWS})
        memory.down = True
        yield memory
        return
    with connect(Connection("local", "US", "http://127.0.0.1:9", "127.0.0.1:9")) as nowhere:
        yield BigQueryStatistics(nowhere, seconds=0.3)


async def test_an_absent_warehouse_is_unavailable(absent: TableStatistics) -> None:
    with pytest.raises(Unavailable) as failed:
        await absent.read(TABLE, [RowCount(range=Range())])
    assert failed.value.reason == "WAREHOUSE_UNAVAILABLE"

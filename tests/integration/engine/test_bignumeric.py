"""BIGNUMERIC is exact to 20 digits before and 18 after the point; what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa
import pytest
from google.api_core.exceptions import BadRequest
from google.cloud import bigquery

from tests.integration.engine.claims_on_writes import REFUSED
from tests.integration.engine.warehouse import Warehouse, failure_of
from tests.support.appending import COMMITTED, PENDING, append, open_stream

LARGEST = Decimal("99999999999999999999.999999999999999999")
EXACT = (
    LARGEST,
    LARGEST.copy_negate(),
    Decimal("1e-18"),
    Decimal("-12345678901234567890.123456789012345678"),
)
MISFITS = {
    "19 digits after the point": "0.1234567890123456789",
    "the smallest of 19 digits": "1e-19",
    "21 digits before the point": "100000000000000000000",
    "39 digits": "12345678901234567890.1234567890123456789",
    "below the smallest": "-100000000000000000000.5",
}
misfits = pytest.mark.parametrize("text", MISFITS.values(), ids=MISFITS.keys())


def arrow(*values: Decimal | None) -> pa.RecordBatch:
    """Return rows as the product sends them."""
    column = pa.array(values, pa.decimal256(76, 38))
    return pa.RecordBatch.from_arrays([column], names=["n"])


def made_by_rest(warehouse: Warehouse) -> None:
    warehouse.table("t", ("n", "BIGNUMERIC"))


def made_by_ddl(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE `{d}.t` (n BIGNUMERIC)")


def made_by_ctas(warehouse: Warehouse) -> None:
    warehouse.run("CREATE TABLE `{d}.t` AS SELECT CAST(NULL AS BIGNUMERIC) AS n LIMIT 0")


@pytest.mark.parametrize("make", [made_by_rest, made_by_ddl, made_by_ctas])
def test_appended_values_are_read_as_they_were(
    warehouse: Warehouse, make: Callable[[Warehouse], None]
) -> None:
    make(warehouse)
    warehouse.load(f"{warehouse.dataset}.t", arrow(*EXACT, None))
    rows = warehouse.rows("SELECT n FROM `{d}.t` WHERE n IS NOT NULL ORDER BY n")
    assert rows == [(value,) for value in sorted(EXACT)]
    assert warehouse.column_types("t") == {"n": "BIGNUMERIC"}


@pytest.mark.parametrize("value", EXACT, ids=["largest", "smallest", "tiny", "all digits"])
@pytest.mark.parametrize(
    "written",
    ["BIGNUMERIC '{}'", "CAST('{}' AS BIGNUMERIC)", "PARSE_BIGNUMERIC('{}')", "@n"],
    ids=["literal", "cast", "parse", "parameter"],
)
def test_written_values_are_stored_as_they_are(
    warehouse: Warehouse, written: str, value: Decimal
) -> None:
    made_by_ddl(warehouse)
    insert = f"INSERT INTO `{{d}}.t` (n) VALUES ({written.format(f'{value:f}')})"
    warehouse.run(insert, n=("BIGNUMERIC", value))
    warehouse.run("CREATE TABLE `{d}.u` AS SELECT n FROM `{d}.t`")
    assert warehouse.rows("SELECT n FROM `{d}.u`") == [(value,)]


def test_sums_are_exact(warehouse: Warehouse) -> None:
    made_by_ddl(warehouse)
    values = [Decimal(f"{number}.{number:018d}") for number in range(1, 2_001)]
    warehouse.load(f"{warehouse.dataset}.t", arrow(*values))
    sums = "SELECT SUM(n) AS a, SUM(CAST(n AS BIGNUMERIC)) AS b, MAX(n) - MIN(n) AS c FROM `{d}.t`"
    assert warehouse.rows(sums) == [(sum(values), sum(values), values[-1] - values[0])]


@misfits
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT BIGNUMERIC '{}' AS n",
        "SELECT CAST('{}' AS BIGNUMERIC) AS n",
        "SELECT PARSE_BIGNUMERIC('{}') AS n",
        "SELECT CAST(s AS BIGNUMERIC) AS n FROM UNNEST(['1', '{}']) AS s",
        "INSERT INTO `{{d}}.t` (n) VALUES (1), (BIGNUMERIC '{}')",
        "INSERT INTO `{{d}}.t` (n) VALUES (1), ({})",
        "UPDATE `{{d}}.t` SET n = {} WHERE n = 0",
    ],
    ids=["literal", "cast", "parse", "cast of a column", "insert", "bare insert", "update"],
)
def test_a_statement_with_what_does_not_fit_is_refused(
    warehouse: Warehouse, statement: str, text: str
) -> None:
    made_by_ddl(warehouse)
    warehouse.run("INSERT INTO `{d}.t` (n) VALUES (0)")
    refused = failure_of(lambda: warehouse.run(statement.format(text)))
    assert isinstance(refused, BadRequest)
    assert warehouse.rows("SELECT n FROM `{d}.t`") == [(0,)]


@misfits
def test_a_parameter_that_does_not_fit_is_refused(warehouse: Warehouse, text: str) -> None:
    value = ("BIGNUMERIC", Decimal(text))
    refused = failure_of(lambda: warehouse.run("SELECT @n AS n", n=value))
    assert isinstance(refused, BadRequest)


@misfits
def test_a_safe_cast_of_what_does_not_fit_is_null(warehouse: Warehouse, text: str) -> None:
    assert warehouse.rows(f"SELECT SAFE_CAST('{text}' AS BIGNUMERIC) AS n") == [(None,)]


@misfits
@pytest.mark.parametrize("kind", [PENDING, COMMITTED], ids=["pending", "committed"])
def test_an_append_of_what_does_not_fit_is_refused_and_stores_nothing(
    warehouse: Warehouse, kind: int, text: str
) -> None:
    made_by_rest(warehouse)
    table = f"{warehouse.dataset}.t"
    stream = open_stream(warehouse.writer, table, kind)
    wrong, right = arrow(Decimal(1), Decimal(text)), arrow(Decimal(2))
    refused, stored = append(warehouse.writer, stream, wrong, right)
    assert (refused.error.code, stored.error.code) == (REFUSED, 0)
    assert warehouse.seal(stream) == 1
    if kind == PENDING:
        assert warehouse.commit(table, [stream]).commit_time
    assert warehouse.rows("SELECT n FROM `{d}.t`") == [(2,)]


def test_a_cast_of_a_parameter_without_a_name_is_that_of_its_value(warehouse: Warehouse) -> None:
    marks = [bigquery.ScalarQueryParameter(None, "STRING", text) for text in ("1.5", "2.5")]
    config = bigquery.QueryJobConfig(query_parameters=marks)
    sql = "SELECT CAST(? AS BIGNUMERIC) AS a, CAST(? AS BIGNUMERIC) AS b"
    (row,) = warehouse.client.query(sql, job_config=config).result()
    assert tuple(row.values()) == (Decimal("1.5"), Decimal("2.5"))

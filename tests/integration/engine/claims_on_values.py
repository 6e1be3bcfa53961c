"""Claims about types: decimals, schemas, parameters."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Final

from google.api_core.exceptions import BadRequest, NotFound

from tests.integration.engine.warehouse import Warehouse, failure_of

WIDEST: Final = Decimal("12345678901234567890.123456789012345678")


def a_bare_numeric_keeps_nine_digits(warehouse: Warehouse) -> None:
    """In DDL and in CAST; DuckDB's own DECIMAL would keep three and say nothing."""
    warehouse.run("CREATE TABLE `{d}.t` (n NUMERIC)")
    warehouse.run("INSERT INTO `{d}.t` (n) VALUES (NUMERIC '1.123456789')")
    cast = "SELECT n, CAST('1.123456789' AS NUMERIC) AS c FROM `{d}.t`"
    assert warehouse.rows(cast) == [(Decimal("1.123456789"),) * 2]


def bignumeric_is_exact(warehouse: Warehouse) -> None:
    """A value of 20 and 18 digits is the same after DDL, INSERT, SUM and MAX."""
    warehouse.run("CREATE TABLE `{d}.t` (n BIGNUMERIC)")
    warehouse.run(f"INSERT INTO `{{d}}.t` (n) VALUES (BIGNUMERIC '{WIDEST}')")
    total = "SELECT SUM(n) AS a, MAX(n) AS b, CAST('0.1' AS BIGNUMERIC) AS c FROM `{d}.t`"
    assert warehouse.rows(total) == [(WIDEST, WIDEST, Decimal("0.1"))]


def a_cast_loses_no_digit(warehouse: Warehouse) -> None:
    """Not of a text, nor of a number without quotes: it is exact or refused."""
    exact = "SELECT CAST(123456.789 AS BIGNUMERIC) AS a, CAST('1e-18' AS BIGNUMERIC) AS b"
    assert warehouse.rows(exact) == [(Decimal("123456.789"), Decimal("1e-18"))]
    text = "SELECT CAST(s AS BIGNUMERIC) AS n FROM UNNEST(['0.0000000000000000001']) AS s"
    assert isinstance(failure_of(lambda: warehouse.run(text)), BadRequest)


def a_written_number_is_stored_as_written(warehouse: Warehouse) -> None:
    """Whatever statement puts it into a NUMERIC or BIGNUMERIC column; FLOAT64 stays a double."""
    warehouse.table("t", ("n", "BIGNUMERIC"), ("m", "NUMERIC"), ("f", "FLOAT64"))
    merge = "MERGE `{d}.t` USING (SELECT 1 AS k) ON FALSE WHEN NOT MATCHED THEN"
    for statement in (
        "INSERT INTO `{d}.t` (n, m, f) VALUES (1.005, 99999999.000001, 0.1), (-1.005, 1, 1e2)",
        "INSERT INTO `{d}.t` SELECT 12345678901234567890.123456789012345678, 2, 2",
        "UPDATE `{d}.t` SET n = 123456.789 WHERE n < 0",
        merge + " INSERT (n, m, f) VALUES (1234567.000001, 3, 3)",
    ):
        warehouse.run(statement)
    assert warehouse.rows("SELECT n, m, f FROM `{d}.t` ORDER BY n") == [
        (Decimal("1.005"), Decimal("99999999.000001"), 0.1),
        (Decimal("123456.789"), Decimal(1), 100.0),
        (Decimal("1234567.000001"), Decimal(3), 3.0),
        (WIDEST, Decimal(2), 2.0),
    ]


def a_division_is_of_all_that_it_is_given(warehouse: Warehouse) -> None:
    """And is whole before anything else is done with it; it cuts towards zero."""
    divided = (
        "SELECT DIV(a - b, c) AS n, DIV(a, b - c) AS m, 2 * DIV(a, c) AS t, -DIV(a + b, c) AS s,"
        " DIV(-a, c) AS z, DIV(a, b) * c AS u FROM UNNEST([STRUCT(17 AS a, 7 AS b, 3 AS c)])"
    )
    assert warehouse.rows(divided) == [(3, 4, 10, -8, -5, 6)]


def a_table_is_made_in_a_dataset_that_is_there(warehouse: Warehouse) -> None:
    nowhere = Warehouse(warehouse.engine, f"{warehouse.dataset}_nope")
    with nowhere:
        assert isinstance(failure_of(lambda: nowhere.table("t", ("i", "INT64"))), NotFound)


def sql_tables_are_listed_as_they_are(warehouse: Warehouse) -> None:
    """Tables made by DDL and CTAS have BIGNUMERIC and JSON columns."""
    warehouse.run("CREATE TABLE `{d}.t` (n BIGNUMERIC, j JSON, m NUMERIC)")
    warehouse.run("CREATE TABLE `{d}.u` AS SELECT * FROM `{d}.t`")
    expected = {"n": "BIGNUMERIC", "j": "JSON", "m": "NUMERIC"}
    assert (warehouse.column_types("t"), warehouse.column_types("u")) == (expected, expected)


def an_expiration_is_kept(warehouse: Warehouse) -> None:
    """Set by DDL, moved and taken away by REST, shown by both."""
    warehouse.run(
        "CREATE OR REPLACE TABLE `{d}.t` OPTIONS (expiration_timestamp ="
        " TIMESTAMP '2099-01-01 00:00:00+00:00') AS SELECT 1 AS n"
    )
    listed = "SELECT option_value FROM `{d}`.INFORMATION_SCHEMA.TABLE_OPTIONS"
    assert warehouse.rows(listed) == [('TIMESTAMP "2099-01-01 00:00:00.000000 UTC"',)]
    table = warehouse.client.get_table(f"{warehouse.dataset}.t")
    assert table.expires == dt.datetime(2099, 1, 1, tzinfo=dt.UTC)
    for wanted in (dt.datetime(2098, 1, 1, tzinfo=dt.UTC), None):
        table.expires = wanted
        warehouse.client.update_table(table, ["expires"])
        warehouse.run("INSERT INTO `{d}.t` (n) VALUES (2)")
        table = warehouse.client.get_table(table.reference)
        assert table.expires == wanted
    assert warehouse.rows(listed) == []


def parameters_have_their_type(warehouse: Warehouse) -> None:
    """And `@name` in a text stays a text."""
    assert warehouse.rows("SELECT @b AS b", b=("BYTES", b"\x00\xff")) == [(b"\x00\xff",)]
    empty = warehouse.rows("SELECT DATE '2026-01-01' IN UNNEST(@d) AS x", d=("ARRAY<DATE>", []))
    assert empty == [(False,)]
    assert warehouse.rows("SELECT '@a' AS quoted, @a AS a", a=("STRING", "x")) == [("@a", "x")]
    job = warehouse.run("SELECT @n AS n", n=("BIGNUMERIC", Decimal(1)))
    assert [field.field_type for field in job.result().schema] == ["BIGNUMERIC"]

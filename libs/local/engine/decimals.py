"""NUMERIC and BIGNUMERIC in DuckDB, whose decimals have at most 38 digits."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

NUMERIC = "DECIMAL(38, 9)"


def numeric_nine_digits() -> None:
    """Write a bare NUMERIC as DECIMAL(38, 9); DuckDB would read it as DECIMAL(18, 3) and cut digits."""
    generator = DuckDB.Generator
    datatype = generator.datatype_sql

    def datatype_sql(self: DuckDB.Generator, expression: exp.DataType) -> str:
        if expression.this == exp.DataType.Type.DECIMAL and not expression.expressions:
            return NUMERIC
        return datatype(self, expression)

    generator.datatype_sql = datatype_sql

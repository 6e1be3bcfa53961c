"""DIV divides what it is given, whole."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB


def divisions_apart() -> None:
    """Put DIV and both of what it divides into brackets: `DIV(a - b, c)` became `a - b // c`."""
    DuckDB.Generator.TRANSFORMS[exp.IntDiv] = _divided


def _divided(self: DuckDB.Generator, expression: exp.IntDiv) -> str:
    return f"(({self.sql(expression, 'this')}) // ({self.sql(expression, 'expression')}))"

"""CAST to BIGNUMERIC keeps every digit that is written, or fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bqemulator.sql.rules.numeric_types import ParseBignumericRule
from bqemulator.storage.engine import DuckDBEngine
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

from libs.local.engine.decimals import BIGNUMERIC, DIGITS, MISFIT, SCALE
from libs.local.engine.merge import positional

OR_ERROR: Final = "bignumeric_or_error"
OR_NULL: Final = "bignumeric_or_null"

# A type is known when a statement is bound: numbers that always fit are cast as fast as ever.
_MAY_LOSE: Final = (
    rf"(typeof(x) = 'VARCHAR' OR regexp_matches(typeof(x), '^DECIMAL\({DIGITS},(19|[23]\d)\)$'))"
)
_TEXT: Final = "lower(trim(CAST(x AS VARCHAR)))"
_FRACTION: Final = f"length(rtrim(split_part(split_part({_TEXT}, 'e', 1), '.', 2), '0'))"
_EXPONENT: Final = f"COALESCE(TRY_CAST(split_part({_TEXT}, 'e', 2) AS INTEGER), 0)"
_LOSES: Final = f"{_MAY_LOSE} AND {_FRACTION} - {_EXPONENT} > {SCALE}"
_ERROR: Final = f"error('BIGNUMERIC ' || CAST(x AS VARCHAR) || '{MISFIT}')"

Generate = Callable[..., str]


def bignumeric_casts_exact() -> None:
    """Fail a CAST of a text, or of a number that a statement spells out, that would lose digits.

    SAFE_CAST makes them NULL. DuckDB rounds, and takes what stands without quotes for a double.
    Doubles are still rounded, as BigQuery rounds them to its 38 digits.
    """
    register = DuckDBEngine._register_builtin_udfs

    def register_more(self: DuckDBEngine) -> None:
        register(self)
        self.connection.execute(_macro(OR_ERROR, lost=_ERROR, cast="CAST"))
        self.connection.execute(_macro(OR_NULL, lost="NULL", cast="TRY_CAST"))

    DuckDBEngine._register_builtin_udfs = register_more
    DuckDB.Generator.cast_sql = _through(OR_ERROR, DuckDB.Generator.cast_sql)
    DuckDB.Generator.trycast_sql = _through(OR_NULL, DuckDB.Generator.trycast_sql)
    ParseBignumericRule.rewrite = _parse


def _macro(name: str, *, lost: str, cast: str) -> str:
    choice = f"CASE WHEN {_LOSES} THEN {lost} ELSE {cast}(x AS {BIGNUMERIC}) END"
    return f"CREATE OR REPLACE MACRO {name}(x) AS {choice}"


def as_written(value: exp.Expression) -> exp.Expression | None:
    """Return the text of a number that a statement spells out; None for anything else."""
    number = value.this if isinstance(value, exp.Neg) else value
    if not isinstance(number, exp.Literal) or number.is_string:
        return None
    sign = "-" if isinstance(value, exp.Neg) else ""
    return exp.Literal.string(f"{sign}{number.this}")


def _through(macro: str, generate: Generate) -> Generate:
    def cast_sql(self: DuckDB.Generator, expression: exp.Cast, *prefix: str, **named: str) -> str:
        kind, operand = expression.to, expression.this
        bare = kind.this == exp.DataType.Type.BIGDECIMAL and not kind.expressions
        if not bare or positional(operand):
            return generate(self, expression, *prefix, **named)
        # The cast around the macro changes nothing; it tells the type to later rewrites.
        return f"CAST({macro}({self.sql(as_written(operand) or operand)}) AS {BIGNUMERIC})"

    return cast_sql


def _parse(self: ParseBignumericRule, node: exp.Expression) -> exp.Expression:
    return exp.cast(exp.Anonymous(this=OR_ERROR, expressions=[node.this.copy()]), BIGNUMERIC)

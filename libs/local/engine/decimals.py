"""NUMERIC and BIGNUMERIC in DuckDB, whose decimals have at most 38 digits."""

from __future__ import annotations

import decimal
import re
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from bqemulator.api.routes import tabledata
from bqemulator.domain.errors import InvalidQueryError
from bqemulator.sql import parameters
from bqemulator.sql.rewriter import numeric_literals
from bqemulator.storage import type_map
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

NUMERIC = "DECIMAL(38, 9)"
BIGNUMERIC = "DECIMAL(38, 18)"
DIGITS, SCALE = 38, 18
MISFIT = (
    f" does not fit: the embedded BigQuery keeps {DIGITS - SCALE} digits before and {SCALE} after "
    "the point"
)


def numeric_nine_digits() -> None:
    """Write a bare NUMERIC as DECIMAL(38, 9); DuckDB would take DECIMAL(18, 3) and cut digits."""
    _spell(exp.DataType.Type.DECIMAL, NUMERIC)


def bignumeric_eighteen_digits() -> None:
    """Keep BIGNUMERIC as DECIMAL(38, 18): 20 digits before the point and 18 after it.

    Stock asks DuckDB for DECIMAL(76, 38), which does not exist. Literals and parameters that do
    not fit are refused, never rounded.
    """
    _spell(exp.DataType.Type.BIGDECIMAL, BIGNUMERIC)
    type_map._BQ_TO_DUCKDB["BIGNUMERIC"] = BIGNUMERIC
    type_map._DUCKDB_TO_BQ[BIGNUMERIC] = "BIGNUMERIC"
    type_map.duckdb_to_bq = _with_scale(type_map.duckdb_to_bq)
    tabledata._bq_type_to_arrow = _with_decimal128(tabledata._bq_type_to_arrow)
    parameters._BQ_SCALAR_TO_DUCKDB["BIGNUMERIC"] = BIGNUMERIC
    parameters._SCALAR_CONVERTERS["BIGNUMERIC"] = _fitting
    numeric_literals._rewrite_bignumeric = _literal


def _spell(kind: exp.DataType.Type, duckdb_type: str) -> None:
    """Make DuckDB's SQL say `duckdb_type` for `kind` without parameters."""
    transforms = DuckDB.Generator.TRANSFORMS
    spelled = transforms.get(exp.DataType, DuckDB.Generator.datatype_sql)

    def datatype(generator: DuckDB.Generator, expression: exp.DataType) -> str:
        if expression.this == kind and not expression.expressions:
            return duckdb_type
        return str(spelled(generator, expression))

    transforms[exp.DataType] = datatype


def _with_scale(by_precision: Callable[[str], Any]) -> Callable[[str], Any]:
    def duckdb_to_bq(duckdb_type: str) -> str:
        upper = duckdb_type.strip().upper()
        if upper.startswith("DECIMAL") and not upper.endswith("[]"):
            _, scale = type_map._parse_decimal_params(upper)
            return "BIGNUMERIC" if (scale or 0) > 9 else "NUMERIC"
        return str(by_precision(duckdb_type))

    return duckdb_to_bq


def _with_decimal128(arrow_of: Callable[[str], Any]) -> Callable[[str], Any]:
    def bq_type_to_arrow(bq_type: str) -> pa.DataType:
        if bq_type.upper() == "BIGNUMERIC":
            return pa.decimal128(DIGITS, SCALE)
        return arrow_of(bq_type)

    return bq_type_to_arrow


def _fitting(text: object) -> decimal.Decimal:
    """Return `text` as a decimal that fits, or raise InvalidQueryError."""
    value = decimal.Decimal(str(text))
    with decimal.localcontext(decimal.Context(prec=DIGITS, traps=[decimal.Inexact])) as context:
        context.traps[decimal.InvalidOperation] = True
        try:
            return value.quantize(decimal.Decimal(1).scaleb(-SCALE))
        except (decimal.Inexact, decimal.InvalidOperation) as error:
            raise InvalidQueryError(f"BIGNUMERIC {text}{MISFIT}") from error


def _literal(match: re.Match[str]) -> str:
    return f"CAST('{_fitting(match.group(2)):f}' AS {BIGNUMERIC})"

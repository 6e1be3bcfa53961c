"""Casts a batch of texts to the schema; what does not fit is named, never changed."""

import dataclasses
from collections.abc import Sequence
from typing import Final

import polars as pl

from services.ingest.casting.types import (
    CASTS,
    REPEATED_STRING,
    allowed,
    decimal_text,
    to_decimal,
    trimmed,
)
from services.ingest.columns import TargetColumn

LONGEST_SHOWN: Final = 80
COERCED: Final = {"INT64": r"\.0*$", "BOOL": r"^[01]$", "DATE": r"[ T]"}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CastBatch:
    """A batch in the schema's types.

    frame: (n, c) one column per schema column; cells that do not fit are null.
    reasons: By index of the row, sentences `CAST {column}: found … allowed …`. Rows not named are whole.
    blame: By index of the row, the first column that does not fit.
    plain: For each money column, (n,) numbers as plain decimal text, null where it is no number.
    coerced: Cells coerced without loss, by (column, kind).
    """

    frame: pl.DataFrame
    reasons: dict[int, list[str]]
    blame: dict[int, str]
    plain: dict[str, pl.Series]
    coerced: dict[tuple[str, str], int]


def cast(rows: pl.DataFrame, columns: Sequence[TargetColumn]) -> CastBatch:
    """Cast texts to the types of `columns`.

    Args:
        rows: (n, c) String columns, one per schema column; null is an absent value.
        columns: The schema.
    """
    plain = {c.name: decimal_text(rows, c.name) for c in columns if c.money}
    frame = pl.DataFrame([_cast(rows, column, plain) for column in columns])
    reasons: dict[int, list[str]] = {}
    blame: dict[int, str] = {}
    coerced: dict[tuple[str, str], int] = {}
    for column in columns:
        for index, found in _misfits(rows, frame, column):
            reasons.setdefault(index, []).append(
                f"CAST {column.name}: found {found}; allowed is {allowed(column)}"
            )
            blame.setdefault(index, column.name)
        if count := _coerced(rows, frame, column):
            coerced[column.name, f"read as {column.type}"] = count
    lists = [pl.col(c.name).fill_null([]) for c in columns if c.repeated]
    frame = frame.with_columns(lists)
    return CastBatch(frame=frame, reasons=reasons, blame=blame, plain=plain, coerced=coerced)


def _cast(rows: pl.DataFrame, column: TargetColumn, plain: dict[str, pl.Series]) -> pl.Series:
    if column.repeated:
        expression = REPEATED_STRING(pl.col(column.name))
    elif column.money:
        return to_decimal(plain[column.name], column).alias(column.name)
    elif column.type == "STRING":
        text = pl.col(column.name)
        if column.max_length is None:
            return rows[column.name]
        expression = pl.when(text.str.len_chars() <= column.max_length).then(text)
    else:
        expression = CASTS[column.type](pl.col(column.name))
        if column.max_length is not None:
            expression = pl.when(expression.bin.size() <= column.max_length).then(expression)
    return rows.select(expression.cast(column.dtype).alias(column.name)).to_series()


def _misfits(
    rows: pl.DataFrame, frame: pl.DataFrame, column: TargetColumn
) -> list[tuple[int, str]]:
    """Return rows whose cell is there and does not fit, or is required and absent."""
    text = pl.col(column.name) if column.type == "STRING" else trimmed(pl.col(column.name))
    there = rows.select(text.is_not_null()).to_series()
    wrong = there & frame[column.name].is_null()
    found = [
        (index, repr(str(rows[column.name][index])[:LONGEST_SHOWN]))
        for index in wrong.fill_null(value=False).arg_true().to_list()
    ]
    if column.required:
        found += [(index, "nothing") for index in (~there).arg_true().to_list()]
    return found


def _coerced(rows: pl.DataFrame, frame: pl.DataFrame, column: TargetColumn) -> int:
    pattern = COERCED.get(column.type)
    if pattern is None or column.repeated:
        return 0
    text = rows[column.name].str.strip_chars()
    return int((text.str.contains(pattern) & frame[column.name].is_not_null()).sum())

"""Columns that a source hands over in their type: held to the same bounds as texts are."""

import base64
import datetime as dt
import json
from decimal import Decimal
from typing import Any, Final

import polars as pl

from services.ingest.columns import TargetColumn

_FIRST: Final = dt.date(1, 1, 1)
_LAST: Final = dt.date(9999, 12, 31)


def taken(values: pl.Series, column: TargetColumn) -> pl.Series:
    """Return values of the column's type, null where one is beyond its parameters or its range."""
    value = pl.col(values.name)
    holds = _holds(value, column)
    if holds is None:
        return values
    frame = values.to_frame()
    if frame.select((holds | value.is_null()).all()).item():
        return values
    return frame.select(pl.when(holds).then(value)).to_series()


def _holds(value: pl.Expr, column: TargetColumn) -> pl.Expr | None:
    if column.repeated:
        return ~value.list.eval(pl.element().is_null()).list.any()
    if column.money:
        return _fits(value, column)
    match column.type:
        case "DATE":
            return value.is_between(_FIRST, _LAST)
        case "DATETIME" | "TIMESTAMP":
            return value.dt.date().is_between(_FIRST, _LAST)
        case "BYTES" if column.max_length is not None:
            return value.bin.size() <= column.max_length
    return None


def _fits(value: pl.Expr, column: TargetColumn) -> pl.Expr:
    small = value.abs() < pl.lit(Decimal(10) ** column.whole_digits)
    if column.dtype == pl.Decimal(38, column.fraction_digits):
        return small
    step = Decimal(1).scaleb(-column.fraction_digits)
    return small & (value % pl.lit(step) == 0)


def texts_of(values: pl.Series) -> list[str | None]:
    """Return cells as texts, as the source's rows show them: themselves where they are texts."""
    match values.dtype:
        case pl.Datetime(time_zone=zone):
            shown = values.dt.to_string("%Y-%m-%d %H:%M:%S%.f")
            return (shown if zone is None else shown + "Z").to_list()
        case pl.Date() | pl.String():
            return values.cast(pl.String).to_list()
    return [None if value is None else _text(value) for value in values.to_list()]


def _text(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case Decimal():
            text = f"{value:f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case bytes():
            return base64.b64encode(value).decode()
        case dt.time():
            return value.isoformat()
        case list():
            return json.dumps(value, ensure_ascii=False)
    return repr(value)

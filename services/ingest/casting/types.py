"""One expression a type: text in, value out, null where the text does not fit without loss."""

import base64
import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import polars as pl

from services.ingest.columns import TargetColumn

NUMBER: Final = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?$"
_EXPONENT: Final = r"[eE]"
_POINT_ZERO: Final = r"^([+-]?[0-9]+)\.0*$"
_MOMENT: Final = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[ Tt]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(\.[0-9]{1,9})?"
    r"[ ]?(Z|z|UTC|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
)
_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
LONGEST_JSON_DEPTH: Final = 100


def trimmed(text: pl.Expr) -> pl.Expr:
    """Return the text without blanks around it; nothing is null."""
    plain = text.str.strip_chars()
    return pl.when(plain != "").then(plain)


def plain_decimal(text: str) -> str | None:
    """Return a number's text without exponent, None if it is no number."""
    number = Decimal(text)
    return f"{number:f}" if number.is_finite() else None


def decimal_text(frame: pl.DataFrame, column: str) -> pl.Series:
    """Return the column's numbers as plain texts: no sign `+`, no exponent, no zeros at the end.

    Texts that are no number are null.
    """
    text = frame.select(trimmed(pl.col(column)).alias(column)).to_series()
    text = pl.select(pl.when(text.str.contains(NUMBER)).then(text)).to_series()
    odd = text.str.contains(_EXPONENT).fill_null(value=False)
    if odd.any():
        values = [
            plain_decimal(value) if is_odd and value is not None else value
            for value, is_odd in zip(text.to_list(), odd.to_list(), strict=True)
        ]
        text = pl.Series(column, values, dtype=pl.String)
    plain = text.str.strip_chars_start("+")
    pointed = plain.str.contains(".", literal=True).fill_null(value=False)
    cut = plain.str.strip_chars_end("0").str.strip_chars_end(".")
    zero = pl.Series(["0"], dtype=pl.String)
    short = pl.select(pl.when(pointed).then(cut).otherwise(plain)).to_series()
    bare = short.is_in(["", "-"])
    return pl.select(pl.when(bare).then(zero).otherwise(short)).to_series().alias(column)


def fits(plain: pl.Series, column: TargetColumn) -> pl.Series:
    """Return which plain decimal texts have no more digits than the column holds."""
    whole = plain.str.extract(r"^-?0*([0-9]*)", 1).str.len_bytes()
    fraction = plain.str.extract(r"\.([0-9]*)$", 1).fill_null("").str.len_bytes()
    return (whole <= column.whole_digits) & (fraction <= column.fraction_digits)


def to_decimal(plain: pl.Series, column: TargetColumn) -> pl.Series:
    """Return plain decimal texts as the column's Decimal; null where they do not fit."""
    kept = pl.select(pl.when(fits(plain, column)).then(plain)).to_series()
    return kept.cast(column.dtype, strict=False)


def _integer(text: pl.Expr) -> pl.Expr:
    whole = trimmed(text).str.replace(_POINT_ZERO, "${1}").str.strip_chars_start("+")
    return whole.cast(pl.Int64, strict=False)


def _float(text: pl.Expr) -> pl.Expr:
    return trimmed(text).cast(pl.Float64, strict=False)


def _bool(text: pl.Expr) -> pl.Expr:
    word = trimmed(text).str.to_lowercase()
    return (
        pl.when(word.is_in(["true", "1"]))
        .then(pl.lit(value=True))
        .when(word.is_in(["false", "0"]))
        .then(pl.lit(value=False))
    )


def _date(text: pl.Expr) -> pl.Expr:
    plain = trimmed(text)
    midnight = plain.str.extract(r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]00:00(?::00(?:\.0+)?)?Z?$", 1)
    day = pl.when(plain.str.contains(_DAY)).then(plain).otherwise(midnight)
    return day.str.to_date("%Y-%m-%d", strict=False)


def _moment(text: pl.Expr, *, zones: bool) -> pl.Expr:
    plain = trimmed(text)
    day = pl.when(plain.str.contains(_DAY)).then(plain + " 00:00")
    whole = pl.coalesce(day, plain)
    part = {i: whole.str.extract(_MOMENT, i) for i in range(1, 6)}
    seconds = part[3].fill_null(":00")
    fraction = part[4].fill_null("").str.strip_chars_end("0").str.strip_chars_end(".")
    base = pl.concat_str([part[1], pl.lit(" "), part[2], seconds])
    value = base.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    micros = pl.concat_str([fraction.str.strip_chars_start("."), pl.lit("000000")])
    value = value + pl.duration(microseconds=micros.str.slice(0, 6).cast(pl.Int64, strict=False))
    exact = fraction.str.len_bytes() <= 7
    zone = part[5]
    if zones:
        return pl.when(exact).then((value - _offset(zone)).dt.replace_time_zone("UTC"))
    return pl.when(exact & zone.is_null()).then(value)


def _offset(zone: pl.Expr) -> pl.Expr:
    hours = zone.str.extract(r"^[+-]([0-9]{2})", 1).cast(pl.Int64, strict=False).fill_null(0)
    minutes = zone.str.extract(r"^[+-][0-9]{2}:?([0-9]{2})$", 1)
    total = hours * 60 + minutes.cast(pl.Int64, strict=False).fill_null(0)
    sign = pl.when(zone.str.starts_with("-").fill_null(value=False)).then(-1).otherwise(1)
    return pl.duration(minutes=total * sign)


def _timestamp(text: pl.Expr) -> pl.Expr:
    return _moment(text, zones=True)


def _datetime(text: pl.Expr) -> pl.Expr:
    return _moment(text, zones=False)


def _each(read: Callable[[str], object], dtype: pl.DataType) -> Callable[[pl.Expr], pl.Expr]:
    """Read texts one by one in Python: for types that no expression reads without loss."""

    def one(text: str) -> object:
        try:
            return read(text)
        except (ValueError, RecursionError):
            return None

    def expression(text: pl.Expr) -> pl.Expr:
        return trimmed(text).map_elements(one, return_dtype=dtype, skip_nulls=True)

    return expression


def _json(text: str) -> str:
    json.loads(text, parse_constant=_refuse)
    return text


def _refuse(text: str) -> None:
    raise ValueError(text)


def _strings(text: str) -> list[str]:
    found = json.loads(text)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise ValueError(text)
    return found


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


CASTS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "INT64": _integer,
    "FLOAT64": _float,
    "BOOL": _bool,
    "DATE": _date,
    "TIMESTAMP": _timestamp,
    "DATETIME": _datetime,
    "TIME": _each(dt.time.fromisoformat, pl.Time()),
    "JSON": _each(_json, pl.String()),
    "BYTES": _each(_bytes, pl.Binary()),
}
"""Casts of single values; STRING is itself, decimals are read by `to_decimal`."""

REPEATED_STRING: Final = _each(_strings, pl.List(pl.String()))

ALLOWED: Final[dict[str, str]] = {
    "INT64": "a whole number of 64 bits",
    "FLOAT64": "a number",
    "BOOL": "true or false",
    "DATE": "YYYY-MM-DD",
    "TIMESTAMP": "YYYY-MM-DD HH:MM:SS with at most 6 fraction digits and an offset or none",
    "DATETIME": "YYYY-MM-DD HH:MM:SS with at most 6 fraction digits and no offset",
    "TIME": "HH:MM:SS",
    "JSON": "a JSON value",
    "BYTES": "base64",
}


def allowed(column: TargetColumn) -> str:
    """Say what a column takes."""
    if column.repeated:
        return "a JSON array of texts"
    if column.money:
        whole, fraction = column.whole_digits, column.fraction_digits
        return f"a number of {whole} digits before and {fraction} after the point"
    if column.max_length is not None:
        return f"at most {column.max_length} characters"
    return ALLOWED.get(column.type, "a text")

"""One expression a type: text in, value out, null where the text does not fit without loss."""

import base64
import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Final

import polars as pl

from services.ingest import exact_json
from services.ingest.columns import TargetColumn

NUMBER: Final = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$"
LONGEST_NUMBER: Final = 200
"""Characters. With exponents of three digits no sum needs more digits than `libs.common.money` has."""

_EXPONENT: Final = r"[eE]"
_WHOLE: Final = r"^[+-]?[0-9]+(?:\.0*)?$"
_WHOLE_PART: Final = r"^\+?(-?[0-9]+)"
_MOMENT: Final = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[ Tt]([0-9]{2}:[0-9]{2})(:[0-5][0-9])?(\.[0-9]{1,9})?"
    r"[ ]?(Z|z|UTC|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)?$"
)
_DAY: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIME: Final = r"^([0-9]{2}:[0-9]{2})(:[0-5][0-9])?(?:\.([0-9]{1,6})0*)?$"
_FIRST: Final = dt.datetime(1, 1, 1)  # noqa: DTZ001 compared with moments that have no zone
_LAST: Final = dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001


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
    number = text.str.contains(NUMBER) & (text.str.len_bytes() <= LONGEST_NUMBER)
    text = pl.select(pl.when(number).then(text)).to_series()
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
    plain = trimmed(text)
    whole = pl.when(plain.str.contains(_WHOLE)).then(plain.str.extract(_WHOLE_PART, 1))
    return whole.cast(pl.Int64, strict=False)


def _float(text: pl.Expr) -> pl.Expr:
    """The nearest double; none for a number so large or small that infinity or 0 is nearest."""
    plain = trimmed(text)
    value = plain.cast(pl.Float64, strict=False)
    beyond = value.is_infinite() & plain.str.contains("[0-9]")
    below = (value == 0) & plain.str.contains("^[^eE]*[1-9]")
    return pl.when(~(beyond | below)).then(value)


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
    value = day.str.to_date("%Y-%m-%d", strict=False)
    return pl.when(value >= _FIRST.date()).then(value)


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
    zone = part[5]
    moment = value - _offset(zone) if zones else value
    exact = (fraction.str.len_bytes() <= 7) & moment.is_between(_FIRST, _LAST)
    if zones:
        return pl.when(exact).then(moment.dt.replace_time_zone("UTC"))
    return pl.when(exact & zone.is_null()).then(moment)


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


def _time(text: pl.Expr) -> pl.Expr:
    plain = trimmed(text)
    part = {i: plain.str.extract(_TIME, i) for i in range(1, 4)}
    fraction = part[3].fill_null("").str.pad_end(6, "0")
    whole = pl.concat_str([part[1], part[2].fill_null(":00"), pl.lit("."), fraction])
    return whole.str.to_time("%H:%M:%S%.6f", strict=False)


def _each(read: Callable[[str], object], dtype: pl.DataType) -> Callable[[pl.Expr], pl.Expr]:
    """Read texts one by one in Python: for types that no expression reads without loss."""

    def one(text: str) -> object:
        try:
            return read(text)
        except ValueError:
            return None

    def expression(text: pl.Expr) -> pl.Expr:
        return trimmed(text).map_elements(one, return_dtype=dtype, skip_nulls=True)

    return expression


def _json(text: str) -> str:
    exact_json.loads(text)
    return text


def _strings(text: str) -> list[str]:
    found = exact_json.loads(text)
    texts = isinstance(found, list) and all(
        isinstance(item, str) and not isinstance(item, exact_json.Number) for item in found
    )
    if not texts:
        raise ValueError(text)
    return list(found)


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


CASTS: Final[dict[str, Callable[[pl.Expr], pl.Expr]]] = {
    "INT64": _integer,
    "FLOAT64": _float,
    "BOOL": _bool,
    "DATE": _date,
    "TIMESTAMP": _timestamp,
    "DATETIME": _datetime,
    "TIME": _time,
    "JSON": _each(_json, pl.String()),
    "BYTES": _each(_bytes, pl.Binary()),
}
"""Casts of single values; STRING is itself, decimals are read by `to_decimal`."""

REPEATED_STRING: Final = _each(_strings, pl.List(pl.String()))

ALLOWED: Final[dict[str, str]] = {
    "INT64": "a whole number of 64 bits",
    "FLOAT64": "a number from 5e-324 to 1.8e308, 0, nan or inf",
    "BOOL": "true or false",
    "DATE": "YYYY-MM-DD",
    "TIMESTAMP": "YYYY-MM-DD HH:MM:SS with at most 6 fraction digits and an offset or none",
    "DATETIME": "YYYY-MM-DD HH:MM:SS with at most 6 fraction digits and no offset",
    "TIME": "HH:MM:SS with at most 6 fraction digits and no offset",
    "JSON": "a JSON value, no name twice in an object, at most 100 levels",
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
        unit = "characters" if column.type == "STRING" else "bytes, as base64"
        return f"at most {column.max_length} {unit}"
    return ALLOWED.get(column.type, "a text")

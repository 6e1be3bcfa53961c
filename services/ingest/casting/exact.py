"""The exact caster: texts in, values out, null where a text does not fit without loss."""

import base64
import datetime as dt
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal
from typing import Final

import polars as pl

from libs.common.money import EXACT
from services.ingest import exact_json
from services.ingest.columns import TargetColumn

NUMBER: Final = r"^[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?$"
LONGEST_NUMBER: Final = 200
"""Characters. With exponents of three digits no sum needs more digits than `libs.common.money` has."""

DAY_MICROS: Final = 86_400_000_000
CUT: Final = "digits of a second beyond the sixth cut off"
"""The kind of coercion that is a loss, and asked for."""

_EXPONENT: Final = r"[eE]"
_WHOLE: Final = r"^[+-]?[0-9]+(?:\.0*)?$"
_WHOLE_PART: Final = r"^\+?(-?[0-9]+)"
_FRACTION: Final = r"(?:[.,](?<fraction>[0-9]{1,18}))?"
_ZONE: Final = (
    r"(?:[ ]?(?<zone>Z|z|UTC|(?<sign>[+-])(?<hours>0[0-9]|1[0-4])(?::?(?<minutes>[0-5][0-9]))?))?"
)
_CLOCK: Final = rf"(?<clock>[0-9]{{2}}:[0-9]{{2}})(?:(?<second>:[0-5][0-9]){_FRACTION})?"
_MOMENT: Final = rf"^(?<day>[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})(?:[ Tt]{_CLOCK}{_ZONE})?$"
_TIME: Final = rf"^{_CLOCK}$"
_BASIC: Final = r"^[0-9]{8}[Tt]"
_BASIC_SECONDS: Final = (
    r"^([0-9]{4})([0-9]{2})([0-9]{2})[Tt]([0-9]{2})([0-9]{2})([0-9]{2})([^0-9:].*)?$"
)
_BASIC_MINUTES: Final = r"^([0-9]{4})([0-9]{2})([0-9]{2})[Tt]([0-9]{2})([0-9]{2})([^0-9:.,].*)?$"
_DAY: Final = r"^([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[ Tt]00:00(?::00(?:[.,]0+)?)?(?:Z| ?UTC)?)?$"
_BASIC_DAY: Final = r"^([0-9]{4})([0-9]{2})([0-9]{2})$"
_BEYOND: Final = r"[.,][0-9]{6}[0-9]*[1-9]"
_FIRST: Final = dt.datetime(1, 1, 1)  # noqa: DTZ001 compared with moments that have no zone
_LAST: Final = dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001


def cast_exactly(texts: pl.Series, column: TargetColumn) -> pl.Series:
    """Return texts in the column's type; null where one is absent or does not fit."""
    if column.type == "STRING" and not column.repeated:
        return texts if column.max_length is None else _within(texts, column.max_length)
    text = trimmed(texts)
    if column.repeated:
        found = _each(text, _strings, column.dtype)
    elif column.money:
        found = to_decimal(decimal_text(text), column)
    elif column.epoch_micros:
        found = _epochs(text, column)
    else:
        found = _READ[column.type](text, column)
    if column.type == "BYTES" and column.max_length is not None:
        found = _where(found.bin.size() <= column.max_length, found)
    return found.alias(texts.name)


def coercions(texts: pl.Series, values: pl.Series, column: TargetColumn) -> dict[str, int]:
    """Count, by what was done, the texts that are no usual form of the type but were read."""
    if column.repeated or column.type not in _COERCED:
        return {}
    kind, pattern = _COERCED[column.type]
    counted = kind != CUT or (column.truncates and not column.epoch_micros)
    odd = texts.str.strip_chars().str.contains(pattern) & values.is_not_null()
    found = {kind: int(odd.sum())} if counted else {}
    if column.epoch_micros:
        found = _epoch_coercions(texts, values, column)
    return {kind: count for kind, count in found.items() if count}


_COERCED: Final[dict[str, tuple[str, str]]] = {
    "INT64": ("read as INT64", r"\.0*$"),
    "BOOL": ("read as BOOL", r"^[01]$"),
    "DATE": ("read as DATE", r"[ Tt]"),
    "TIMESTAMP": (CUT, _BEYOND),
    "DATETIME": (CUT, _BEYOND),
    "TIME": (CUT, _BEYOND),
}


def trimmed(text: pl.Series) -> pl.Series:
    """Return texts without blanks around them; nothing is null."""
    plain = text.str.strip_chars()
    return _where(plain != "", plain)


def _where(condition: pl.Series, values: pl.Series) -> pl.Series:
    """Return values where the condition is true, null elsewhere."""
    return pl.select(pl.when(condition).then(values)).to_series()


def _within(texts: pl.Series, most: int) -> pl.Series:
    return _where(texts.str.len_chars() <= most, texts).alias(texts.name)


def plain_decimal(text: str) -> str | None:
    """Return a number's text without exponent, None if it is no number."""
    number = Decimal(text)
    return f"{number:f}" if number.is_finite() else None


def decimal_text(text: pl.Series) -> pl.Series:
    """Return trimmed numbers as plain texts: no sign `+`, no exponent, no zeros at the end.

    Texts that are no number are null.
    """
    text = _where(text.str.contains(NUMBER) & (text.str.len_bytes() <= LONGEST_NUMBER), text)
    odd = text.str.contains(_EXPONENT).fill_null(value=False)
    if odd.any():
        values = [
            plain_decimal(value) if is_odd and value is not None else value
            for value, is_odd in zip(text.to_list(), odd.to_list(), strict=True)
        ]
        text = pl.Series(values, dtype=pl.String)
    plain = text.str.strip_chars_start("+")
    pointed = plain.str.contains(".", literal=True).fill_null(value=False)
    cut = plain.str.strip_chars_end("0").str.strip_chars_end(".")
    short = pl.select(pl.when(pointed).then(cut).otherwise(plain)).to_series()
    bare = short.is_in(["", "-"])
    return pl.select(pl.when(bare).then(pl.lit("0")).otherwise(short)).to_series()


def fits(plain: pl.Series, column: TargetColumn) -> pl.Series:
    """Return which plain decimal texts have no more digits than the column holds."""
    whole = plain.str.extract(r"^-?0*([0-9]*)", 1).str.len_bytes()
    fraction = plain.str.extract(r"\.([0-9]*)$", 1).fill_null("").str.len_bytes()
    return (whole <= column.whole_digits) & (fraction <= column.fraction_digits)


def to_decimal(plain: pl.Series, column: TargetColumn) -> pl.Series:
    """Return plain decimal texts as the column's Decimal; null where they do not fit."""
    return _where(fits(plain, column), plain).cast(column.dtype, strict=False)


def _integer(text: pl.Series, _: TargetColumn) -> pl.Series:
    whole = _where(text.str.contains(_WHOLE), text.str.extract(_WHOLE_PART, 1))
    return whole.cast(pl.Int64, strict=False)


def _float(text: pl.Series, _: TargetColumn) -> pl.Series:
    """The nearest double; none for a number so large or small that infinity or 0 is nearest."""
    value = text.cast(pl.Float64, strict=False)
    beyond = value.is_infinite() & text.str.contains("[0-9]")
    below = (value == 0) & text.str.contains("^[^eE]*[1-9]")
    return _where(~(beyond | below), value)


def _bool(text: pl.Series, _: TargetColumn) -> pl.Series:
    word = text.str.to_lowercase()
    known = {"true": True, "1": True, "false": False, "0": False}
    return word.replace_strict(known, default=None, return_dtype=pl.Boolean())


def _date(text: pl.Series, _: TargetColumn) -> pl.Series:
    day = text.str.replace(_BASIC_DAY, "$1-$2-$3").str.extract(_DAY, 1)
    value = day.str.to_date("%Y-%m-%d", strict=False)
    return _where(value >= _FIRST.date(), value)


def _moment(text: pl.Series, column: TargetColumn) -> pl.Series:
    if text.str.contains(_BASIC).any():
        text = text.str.replace(_BASIC_SECONDS, "$1-$2-${3}T$4:$5:$6$7")
        text = text.str.replace(_BASIC_MINUTES, "$1-$2-${3}T$4:$5$6")
    part = text.str.extract_groups(_MOMENT).struct.unnest()
    base = part.select(
        pl.concat_str(
            "day",
            pl.lit(" "),
            pl.col("clock").fill_null("00:00"),
            pl.col("second").fill_null(":00"),
        )
    ).to_series()
    value = base.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    return part.select(_instant(value, column)).to_series()


def _instant(value: pl.Series, column: TargetColumn) -> pl.Expr:
    """Return a moment of whole seconds with fraction and offset of the columns beside it."""
    moment = pl.lit(value) + _micros() - _offset()
    kept = moment.is_between(_FIRST, _LAST) & _exact_fraction(column)
    if column.type == "DATETIME":
        return pl.when(kept & pl.col("zone").is_null()).then(moment)
    return pl.when(kept).then(moment.dt.replace_time_zone("UTC"))


def _micros() -> pl.Expr:
    digits = pl.col("fraction").fill_null("").str.head(6).str.pad_end(6, "0")
    return pl.duration(microseconds=digits.cast(pl.Int64, strict=False))


def _exact_fraction(column: TargetColumn) -> pl.Expr:
    beyond = pl.col("fraction").fill_null("").str.slice(6).str.contains("[1-9]")
    return ~beyond | pl.lit(column.truncates)


def _offset() -> pl.Expr:
    hours, minutes = (
        pl.col(name).cast(pl.Int64, strict=False).fill_null(0) for name in ("hours", "minutes")
    )
    sign = pl.when(pl.col("sign") == "-").then(-1).otherwise(1)
    return pl.duration(minutes=(hours * 60 + minutes) * sign)


def _time(text: pl.Series, column: TargetColumn) -> pl.Series:
    part = text.str.extract_groups(_TIME).struct.unnest()
    digits = pl.col("fraction").fill_null("").str.head(6).str.pad_end(6, "0")
    whole = pl.concat_str("clock", pl.col("second").fill_null(":00"), pl.lit("."), digits)
    value = whole.str.to_time("%H:%M:%S%.6f", strict=False)
    return part.select(pl.when(_exact_fraction(column)).then(value)).to_series()


def _epochs(text: pl.Series, column: TargetColumn) -> pl.Series:
    """Read numbers as what they count from 1970, other texts as the type's own forms."""
    other = _READ[column.type](_where(~text.str.contains(NUMBER), text), column)
    numbers = decimal_text(text).to_list()
    micros = [None if n is None else _epoch(Decimal(n), column) for n in numbers]
    counted = moments(pl.Series(micros, dtype=pl.Int64), column)
    return pl.select(pl.coalesce(counted, other)).to_series()


def _epoch(number: Decimal, column: TargetColumn) -> int | None:
    """Return whole microseconds since 1970 that lie in the years 1 to 9999, None for others."""
    micros = EXACT.multiply(number, Decimal(column.epoch_micros))
    whole = micros.to_integral_value(ROUND_DOWN, EXACT)
    inside = EPOCH_FIRST <= whole <= EPOCH_LAST
    return int(whole) if inside and (column.truncates or whole == micros) else None


def _since_1970(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1)) // dt.timedelta(microseconds=1)  # noqa: DTZ001


EPOCH_FIRST: Final = _since_1970(_FIRST)
EPOCH_LAST: Final = _since_1970(_LAST)


def moments(micros: pl.Series, column: TargetColumn) -> pl.Series:
    """Return microseconds since 1970 as the column's type; a DATE only at midnight of UTC."""
    if column.type != "DATE":
        return micros.cast(column.dtype)
    days = _where(micros % DAY_MICROS == 0, micros // DAY_MICROS)
    return days.cast(pl.Int32).cast(pl.Date)


def _epoch_coercions(texts: pl.Series, values: pl.Series, column: TargetColumn) -> dict[str, int]:
    numbers = decimal_text(trimmed(texts)).to_list()
    cut = 0
    for number, there in zip(numbers, values.is_not_null().to_list(), strict=True):
        if number is not None and there:
            micros = EXACT.multiply(Decimal(number), Decimal(column.epoch_micros))
            cut += micros != micros.to_integral_value(ROUND_DOWN, EXACT)
    return {CUT: cut}


def _each(text: pl.Series, read: Callable[[str], object], dtype: pl.DataType) -> pl.Series:
    """Read texts one by one in Python: for types that no expression reads without loss."""
    found: list[object] = []
    for one in text.to_list():
        try:
            found.append(None if one is None else read(one))
        except ValueError:
            found.append(None)
    return pl.Series(found, dtype=dtype)


def _json_text(text: str) -> str:
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


def _json(text: pl.Series, column: TargetColumn) -> pl.Series:
    return _each(text, _json_text, column.dtype)


def _bytes(text: pl.Series, column: TargetColumn) -> pl.Series:
    return _each(text, lambda one: base64.b64decode(one, validate=True), column.dtype)


_READ: Final[dict[str, Callable[[pl.Series, TargetColumn], pl.Series]]] = {
    "INT64": _integer,
    "FLOAT64": _float,
    "BOOL": _bool,
    "DATE": _date,
    "TIMESTAMP": _moment,
    "DATETIME": _moment,
    "TIME": _time,
    "JSON": _json,
    "BYTES": _bytes,
}
"""Casts of trimmed texts; STRING is itself, decimals are read by `to_decimal`."""

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

UNITS: Final = {1_000_000: "seconds", 1_000: "milliseconds", 1: "microseconds"}
"""What an epoch may count, by microseconds."""


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
    if column.epoch_micros:
        unit = UNITS[column.epoch_micros]
        at = " at midnight of UTC" if column.type == "DATE" else ""
        return f"{unit} since 1970{at}, or {ALLOWED[column.type]}"
    return ALLOWED.get(column.type, "a text")

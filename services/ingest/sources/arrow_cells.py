"""Arrow columns as a schema's columns: in the very type where they are such values, else as texts."""

from collections.abc import Callable
from typing import Any, Final

import polars as pl
import pyarrow as pa

from services.ingest.columns import TargetColumn
from services.ingest.sources.arrow_texts import plain, text_of

_MICROS: Final = 1000
"""Nanoseconds."""
_DAY_NANOS: Final = 86_400 * 10**9


def cells_of(found: pa.Array, column: TargetColumn) -> pl.Series:
    """Return the cells of a source's column as those of a schema's column.

    They have the column's `dtype` where each of them is a value of it as it stands, in which case
    nothing is lost; otherwise they are texts, for the caster to take or to refuse one by one.

    Raises:
        ValueError, pa.ArrowException: they have no text that loses nothing.
    """
    if pa.types.is_dictionary(found.type) and pa.types.is_string(found.type.value_type):
        return pl.Series(found.dictionary).gather(pl.Series(found.indices)).alias(column.name)
    array = plain(found)
    typed = _typed(array, column)
    if typed is None:
        typed = _text(array, column)
    return typed.alias(column.name)


def _text(array: pa.Array, column: TargetColumn) -> pl.Series:
    if column.money and pa.types.is_float64(array.type):
        return pl.Series(array).cast(pl.String)
    if column.type == "INT64" and pa.types.is_floating(array.type):
        return _whole_texts(pl.Series(array))
    return pl.Series(text_of(array))


def _typed(array: pa.Array, column: TargetColumn) -> pl.Series | None:
    if column.repeated:
        return _lists(array)
    if column.money:
        return _decimals(array, column)
    read = _READ.get(column.type)
    return None if read is None else read(array)


def _integers(array: pa.Array) -> pl.Series | None:
    if pa.types.is_integer(array.type):
        return _unless_lost(pl.Series(array), pl.Int64())
    return _whole_numbers(pl.Series(array)) if pa.types.is_floating(array.type) else None


def _doubles(array: pa.Array) -> pl.Series | None:
    known = pa.types.is_float64(array.type) or pa.types.is_integer(array.type)
    return pl.Series(array).cast(pl.Float64) if known else None


def _booleans(array: pa.Array) -> pl.Series | None:
    return pl.Series(array) if pa.types.is_boolean(array.type) else None


def _days(array: pa.Array) -> pl.Series | None:
    return _exactly(array, pa.date32()) if pa.types.is_date(array.type) else None


def _moments(array: pa.Array) -> pl.Series | None:
    """Return moments; those without a zone are in UTC."""
    if not pa.types.is_timestamp(array.type):
        return None
    found = _exactly(array, pa.timestamp("us", array.type.tz and "UTC"))
    zoned = found is None or array.type.tz is not None
    return found if found is None or zoned else found.dt.replace_time_zone("UTC")


def _local_moments(array: pa.Array) -> pl.Series | None:
    local = pa.types.is_timestamp(array.type) and array.type.tz is None
    return _exactly(array, pa.timestamp("us")) if local else None


def _times(array: pa.Array) -> pl.Series | None:
    if not pa.types.is_time(array.type):
        return None
    found = pl.Series(array)
    nanos = found.to_physical()
    held = (nanos % _MICROS == 0) & (nanos >= 0) & (nanos < _DAY_NANOS)
    return found if held.all() else None


def _binary(array: pa.Array) -> pl.Series | None:
    return pl.Series(array.cast(pa.large_binary())) if _is_binary(array.type) else None


def _is_binary(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_fixed_size_binary(type_)
    )


def _lists(array: pa.Array) -> pl.Series | None:
    type_ = array.type
    lists = pa.types.is_list(type_) or pa.types.is_large_list(type_)
    texts = lists and (
        pa.types.is_string(type_.value_type) or pa.types.is_large_string(type_.value_type)
    )
    return pl.Series(array) if texts else None


def _exactly(array: pa.Array, type_: pa.DataType) -> pl.Series | None:
    """Return moments or days in a type that is less fine; None if one of them would change."""
    try:
        return pl.Series(array.cast(type_))
    except pa.ArrowInvalid:
        return None


def _decimals(array: pa.Array, column: TargetColumn) -> pl.Series | None:
    type_: Any = array.type
    if pa.types.is_integer(type_):
        return _unless_lost(pl.Series(array), column.dtype)
    if not pa.types.is_decimal(type_):
        return None
    if pa.types.is_decimal256(type_):
        try:
            array = array.cast(pa.decimal128(38, type_.scale))
        except (pa.ArrowInvalid, ValueError):
            return None
    return _unless_lost(pl.Series(array), column.dtype)


def _unless_lost(found: pl.Series, dtype: pl.DataType) -> pl.Series | None:
    cast = found.cast(dtype, strict=False)
    if cast.null_count() != found.null_count():
        return None
    if isinstance(found.dtype, pl.Decimal) and isinstance(dtype, pl.Decimal):
        finer = (found.dtype.scale or 0) > (dtype.scale or 0)
        if finer and not (cast.cast(found.dtype, strict=False) == found).all():
            return None
    return cast


def _whole_numbers(found: pl.Series) -> pl.Series | None:
    double = found.cast(pl.Float64)
    whole = double.cast(pl.Int64, strict=False)
    same = whole.null_count() == found.null_count() and (whole.cast(pl.Float64) == double).all()
    return whole if same else None


def _whole_texts(found: pl.Series) -> pl.Series:
    """Return doubles as texts, whole ones without point and exponent."""
    double = pl.col("double")
    whole = double.cast(pl.Int64, strict=False)
    text = pl.when(whole.cast(pl.Float64) == double).then(whole.cast(pl.String))
    frame = pl.DataFrame({"double": found.cast(pl.Float64), "text": text_of(found.to_arrow())})
    return frame.select(text.otherwise(pl.col("text"))).to_series()


_READ: Final[dict[str, Callable[[pa.Array], pl.Series | None]]] = {
    "INT64": _integers,
    "FLOAT64": _doubles,
    "BOOL": _booleans,
    "DATE": _days,
    "TIMESTAMP": _moments,
    "DATETIME": _local_moments,
    "TIME": _times,
    "BYTES": _binary,
}
"""By the schema's type: the cells in it, None if they are not of a type that has the same values."""

"""Arrow columns as texts that lose nothing."""

import base64
import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa

from services.ingest.exact_json import Number, dumps


def texts_of(batch: pa.RecordBatch) -> pl.DataFrame:
    """Return every column of a batch as texts.

    Doubles are the shortest decimal that round-trips, timestamps with a zone are in UTC and end in
    Z, binary is base64, lists, structs and maps are JSON.
    """
    table = pa.table([_text(column) for column in batch.columns], names=batch.schema.names)
    return pl.DataFrame(pl.from_arrow(table))


def _text(column: pa.Array) -> pa.Array:
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        return _each(column) if type_.extension_name == "arrow.uuid" else _text(column.storage)
    if pa.types.is_dictionary(type_):
        return _text(column.dictionary_decode())
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        return column.cast(pa.timestamp(type_.unit, "UTC")).cast(pa.large_string())
    if pa.types.is_nested(type_):
        return _json(column)
    if _binary(type_) or pa.types.is_interval(type_):
        return _each(column)
    return column.cast(pa.large_string())


def _binary(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_binary_view(type_)
        or pa.types.is_fixed_size_binary(type_)
    )


def _each(column: pa.Array) -> pa.Array:
    values = [None if value is None else str(_plain(value)) for value in column.to_pylist()]
    return pa.array(values, pa.large_string())


def _json(column: pa.Array) -> pa.Array:
    values = [None if v is None else dumps(_typed(v, column.type)) for v in column.to_pylist()]
    return pa.array(values, pa.large_string())


def _typed(value: Any, type_: pa.DataType) -> Any:
    """Return a nested value as JSON has it: a map is an object, a number its text."""
    if value is None:
        return None
    if pa.types.is_map(type_):
        return {str(_plain(k)): _typed(v, type_.item_type) for k, v in value}
    if pa.types.is_struct(type_) and isinstance(value, Mapping):
        return {field.name: _typed(value[field.name], field.type) for field in type_}
    if pa.types.is_nested(type_) and isinstance(value, list):
        return [_typed(item, type_.value_type) for item in value]
    if pa.types.is_float16(type_) or pa.types.is_float32(type_):
        return Number(pa.scalar(value, type_).cast(pa.string()).as_py())
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | float | Decimal):
        return Number(f"{value:f}" if isinstance(value, Decimal) else repr(value))
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)

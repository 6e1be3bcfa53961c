"""Arrow columns as texts that lose nothing."""

import base64
import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import polars as pl
import pyarrow as pa

from services.ingest.exact_json import Number, dumps

_ENCODE: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def texts_of(batch: pa.RecordBatch) -> pl.DataFrame:
    """Return every column of a batch as texts.

    Doubles are the shortest decimal that round-trips, timestamps with a zone are in UTC and end in
    Z, binary is base64, lists, structs and maps are JSON.
    """
    table = pa.table([text_of(column) for column in batch.columns], names=batch.schema.names)
    return pl.DataFrame(pl.from_arrow(table))


def plain(column: pa.Array) -> pa.Array:
    """Return a column without what only wraps its values: a dictionary, an extension type."""
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType) and type_.extension_name != "arrow.uuid":
        return plain(column.storage)
    return plain(column.dictionary_decode()) if pa.types.is_dictionary(type_) else column


def text_of(found: pa.Array) -> pa.Array:
    """Return a column as texts."""
    column = plain(found)
    type_ = column.type
    if isinstance(type_, pa.BaseExtensionType):
        return _each(column)
    if pa.types.is_timestamp(type_) and type_.tz is not None:
        return column.cast(pa.timestamp(type_.unit, "UTC")).cast(pa.large_string())
    if pa.types.is_nested(type_):
        return _json(column)
    if pa.types.is_decimal(type_) and not pa.types.is_decimal256(type_):
        return pl.Series(column).cast(pl.String).to_arrow().cast(pa.large_string())
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
    if _all_plain(column.type):
        write = _map_json if pa.types.is_map(column.type) else _ENCODE
        values = [None if value is None else write(value) for value in column.to_pylist()]
        return pa.array(values, pa.large_string())
    values = [None if v is None else dumps(_typed(v, column.type)) for v in column.to_pylist()]
    return pa.array(values, pa.large_string())


def _all_plain(type_: pa.DataType) -> bool:
    """Return whether a list or map has nothing in it but texts, booleans and whole numbers."""
    if pa.types.is_map(type_):
        return pa.types.is_string(type_.key_type) and _is_plain(type_.item_type)
    return pa.types.is_list(type_) and _is_plain(type_.value_type)


def _is_plain(type_: pa.DataType) -> bool:
    known = (pa.types.is_string, pa.types.is_boolean, pa.types.is_integer)
    return any(is_(type_) for is_ in known)


def _map_json(value: list[tuple[Any, Any]]) -> str:
    found = dict(value)
    return _ENCODE(found) if len(found) == len(value) else _pairs(value)


def _pairs(value: list[tuple[Any, Any]]) -> str:
    """Return a map as it is, even with a key that stands twice: who reads it refuses that."""
    return "{" + ",".join(f"{dumps(str(k))}:{dumps(v)}" for k, v in value) + "}"


def _typed(value: Any, type_: pa.DataType) -> Any:
    """Return a nested value as JSON has it: a map is an object, a number its text."""
    if value is None:
        return None
    if pa.types.is_map(type_):
        pairs = [(str(_plain(k)), _typed(v, type_.item_type)) for k, v in value]
        found = dict(pairs)
        return found if len(found) == len(pairs) else Number(_pairs(pairs))
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

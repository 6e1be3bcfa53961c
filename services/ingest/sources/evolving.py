"""Columns that a source has and the schema lacks, as the columns of a table that they would become."""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

import polars as pl
import pyarrow as pa

from libs.common.lineage import ATTEMPT, LINEAGE, VARIANT_SUFFIX
from services.ingest.columns import TargetColumn
from services.ingest.failures import ContractBroken
from services.ingest.sources.source import EXTRA

UNKNOWN: Final = TargetColumn.parse(EXTRA, "JSON")
"""What a reader is asked for beside the schema: an object of all that the schema lacks."""

MOST_COLUMNS: Final = 1000
"""Columns that one plan may add: a table of BigQuery has 10,000 at most."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,299}")
_RESERVED: Final = (
    "_TABLE_", "_FILE_", "_PARTITION", "_ROW_TIMESTAMP", "__ROOT__", "_COLIDENTIFIER", "_CHANGE_",
)  # fmt: skip
"""How no column of BigQuery may begin."""

_OWN: Final = frozenset(column.name for column in (*LINEAGE, ATTEMPT))


def evolved(source: str, found: Mapping[str, str]) -> tuple[TargetColumn, ...]:
    """Return NULLABLE columns for names that a source has and the schema lacks.

    Args:
        source: Name of the source, for the refusal.
        found: Type by name, in the source's order.

    Raises:
        ContractBroken: BigQuery or the platform has no such column, two names differ in case only,
            or there are too many.
    """
    spelled: dict[str, str] = {}
    for name in found:
        twin = spelled.setdefault(name.casefold(), name)
        if twin != name:
            raise _broken(
                source, name, f"it stands there as {twin} too, and case tells no columns apart"
            )
        if not _NAME.fullmatch(name):
            raise _broken(source, name, "allowed are letters, digits and _, at most 300")
        if name.upper().startswith(_RESERVED):
            raise _broken(source, name, "BigQuery keeps names that begin so for itself")
        if name.casefold() in _OWN or name.casefold().endswith(VARIANT_SUFFIX):
            raise _broken(source, name, "the platform has a column of that name")
    if len(found) > MOST_COLUMNS:
        raise _broken(source, f"{len(found)} new columns", f"allowed are {MOST_COLUMNS} at once")
    return tuple(TargetColumn.parse(name, type_) for name, type_ in found.items())


def _broken(source: str, name: str, why: str) -> ContractBroken:
    return ContractBroken(
        f"{source} has {name[:80]!r}, which the schema lacks and which cannot become a column: {why}; "
        "rename it at the source, or choose another mode for contract.columns",
        source=source,
        column=name[:80],
        found="a column that the schema lacks",
    )


def names_in(unknown: pl.Series) -> Iterable[str]:
    """Return the names that have values in objects of what a schema lacks (JSON texts), each once."""
    found: dict[str, None] = {}
    for text in unknown.drop_nulls():
        found |= dict.fromkeys(name for name, there in names_of(text).items() if there)
    return found


def names_of(unknown: str) -> dict[str, bool]:
    """Return whether there is a value, by name; a source's own field `extra` comes as it is."""
    try:
        fields = json.loads(unknown)
    except ValueError:
        return {EXTRA: True}
    if not isinstance(fields, dict):
        return {EXTRA: True}
    return {name: value is not None for name, value in fields.items()}


def joined(types: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Return the type by name over several files: STRING where they disagree.

    Names that differ in case only are one, spelled as the first file has it; within one file they
    are two.
    """
    found: dict[str, str] = {}
    spelled: dict[str, str] = {}
    for one in types:
        known = dict(spelled)
        for name, type_ in one.items():
            first = known.get(name.casefold(), name)
            spelled.setdefault(name.casefold(), first)
            taken = name if first in one and first != name else first
            found[taken] = type_ if found.get(taken, type_) == type_ else "STRING"
    return found


def type_of(type_: pa.DataType) -> str:
    """Return BigQuery's type that holds all values of an Arrow type; STRING where none does."""
    if isinstance(type_, pa.BaseExtensionType):
        return "STRING"
    if pa.types.is_dictionary(type_):
        return type_of(type_.value_type)
    if pa.types.is_decimal(type_):
        return _decimal(type_.precision, type_.scale)
    if pa.types.is_timestamp(type_):
        zoned = "DATETIME" if type_.tz is None else "TIMESTAMP"
        return "STRING" if type_.unit == "ns" else zoned
    return next((name for name, holds in _HOLDS if holds(type_)), "STRING")


def _decimal(precision: int, scale: int) -> str:
    whole = precision - scale
    if 0 <= scale <= 9 and whole <= 29:
        return "NUMERIC"
    return "BIGNUMERIC" if 0 <= scale <= 18 and whole <= 20 else "STRING"


def _whole(type_: pa.DataType) -> bool:
    return bool(pa.types.is_integer(type_)) and type_ != pa.uint64()


def _binary(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_fixed_size_binary(type_)
    )


_HOLDS: Final = (
    ("BOOL", pa.types.is_boolean),
    ("INT64", _whole),
    ("FLOAT64", pa.types.is_floating),
    ("DATE", pa.types.is_date),
    ("TIME", lambda type_: pa.types.is_time(type_) and type_ != pa.time64("ns")),
    ("BYTES", _binary),
    ("JSON", pa.types.is_nested),
)

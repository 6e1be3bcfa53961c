"""The columns of a scope: one whose values a run fixes, any number with one value for every run."""

import datetime as dt
import re
from collections.abc import Callable, Iterable
from typing import Final

from libs.common.lineage import base_type
from services.orchestrator.configs.quantities import Misread

ScopeColumn = tuple[str, str | None]
"""A column, and the one value that it has in every run; None where the run says."""


def scope_column(value: object) -> ScopeColumn:
    """Return one entry of `scope`: a column, or `{column: value}`; raise Misread."""
    if isinstance(value, str):
        return value, None
    if isinstance(value, dict) and len(value) == 1:
        ((column, fixed),) = value.items()
        if isinstance(column, str) and type(fixed) in (str, int):
            return column, str(fixed)
    raise Misread(
        "a column, or {column: value} with a text or a whole number",
        'write it as in [usage_date, {account_id: "0123"}]',
    )


def split(columns: Iterable[ScopeColumn]) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return columns whose values a run says, and pairs of the others with their value."""
    entries = list(columns)
    said = tuple(column for column, value in entries if value is None)
    return said, tuple((column, value) for column, value in entries if value is not None)


def scope_literal(value: str, type_: str) -> str:
    """Return a value of a column of `type_` as scopes write it; raise Misread.

    Moments become UTC (TIMESTAMP) without offset, `2026-11-01 00:00:00`, with a fraction of six
    digits unless it is 0: the text in which workers compare.
    """
    read = READ.get(base_type(type_))
    if read is None:
        raise Misread(f"a column of type {', '.join(READ)}", "name another column")
    try:
        return read(value)
    except (ValueError, OverflowError):
        raise Misread(f"{base_type(type_)}, as in {EXAMPLES[base_type(type_)]}") from None


def _date(value: str) -> str:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError(value)
    return dt.date.fromisoformat(value).isoformat()


def _datetime(value: str) -> str:
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is not None:
        raise ValueError(value)
    return moment.isoformat(sep=" ")


def _timestamp(value: str) -> str:
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is not None:
        moment = moment.astimezone(dt.UTC).replace(tzinfo=None)
    return moment.isoformat(sep=" ")


def _int64(value: str) -> str:
    if not re.fullmatch(r"[-+]?[0-9]{1,19}", value) or not -(2**63) <= int(value) < 2**63:
        raise ValueError(value)
    return str(int(value))


READ: Final[dict[str, Callable[[str], str]]] = {
    "DATE": _date,
    "DATETIME": _datetime,
    "INT64": _int64,
    "STRING": str,
    "TIMESTAMP": _timestamp,
}
EXAMPLES: Final = {
    "DATE": "2026-11-01",
    "DATETIME": "2026-11-01 00:00:00",
    "INT64": "42",
    "STRING": "0123",
    "TIMESTAMP": "2026-11-01T00:00:00Z",
}

"""Query parameters from Python values."""

import dataclasses
import datetime as dt
import decimal
from collections.abc import Mapping, Sequence
from typing import Final, cast

from google.cloud import bigquery

Scalar = str | int | float | bool | decimal.Decimal | dt.datetime | dt.date | None
QueryParameter = bigquery.ScalarQueryParameter | bigquery.ArrayQueryParameter

_TYPES: Final[tuple[tuple[type, str], ...]] = (
    (bool, "BOOL"),
    (int, "INT64"),
    (str, "STRING"),
    (decimal.Decimal, "BIGNUMERIC"),
    (dt.datetime, "TIMESTAMP"),
    (dt.date, "DATE"),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Typed:
    """A value with its BigQuery type: for NULL, empty lists, and types Python cannot tell."""

    type: str
    value: object


def query_parameters(parameters: Mapping[str, object]) -> list[QueryParameter]:
    """Return `parameters` as named query parameters.

    str, bool, int, Decimal (BIGNUMERIC), date and aware datetime (TIMESTAMP) tell their types, and
    so do lists of one of them. Anything else must come as `Typed`, else TypeError.
    """
    return [_parameter(name, value) for name, value in parameters.items()]


def _parameter(name: str, value: object) -> QueryParameter:
    type_ = value.type if isinstance(value, Typed) else ""
    plain = value.value if isinstance(value, Typed) else value
    if isinstance(plain, Sequence) and not isinstance(plain, str | bytes):
        return bigquery.ArrayQueryParameter(name, type_ or _item_type(name, plain), list(plain))
    scalar = cast("Scalar", plain)
    return bigquery.ScalarQueryParameter(name, type_ or _type(name, plain), scalar)


def _item_type(name: str, values: Sequence[object]) -> str:
    types = {_type(name, value) for value in values}
    if len(types) != 1:
        found = ", ".join(sorted(types)) or "nothing"
        raise TypeError(f"parameter {name}: a list must hold one type, found {found}: use Typed")
    return types.pop()


def _type(name: str, value: object) -> str:
    for python, type_ in _TYPES:
        if isinstance(value, python):
            if isinstance(value, dt.datetime) and value.tzinfo is None:
                raise TypeError(f"parameter {name}: a datetime needs a time zone, or Typed")
            return type_
    raise TypeError(f"parameter {name}: {type(value).__name__} does not tell its type: use Typed")

"""Values of a suite as texts of a column's BigQuery type."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Final

MONEY: Final = frozenset({"NUMERIC", "BIGNUMERIC"})
NUMBERS: Final = MONEY | {"INT64", "FLOAT64"}
TIMES: Final = frozenset({"DATE", "DATETIME", "TIME", "TIMESTAMP"})
ORDERED: Final = NUMBERS | TIMES | {"STRING"}
KNOWN: Final = ORDERED | {"BOOL", "JSON", "BYTES"}

Scalar = str | int | bool | Decimal
"""A JSON scalar of a suite; numbers with a point come as Decimal, never as float."""


def _time(parse: Callable[[str], object]) -> Callable[[Scalar], str]:
    def read(value: Scalar) -> str:
        if not isinstance(value, str):
            raise ValueError("a text in ISO 8601 form")
        parse(value)
        return value

    return read


def _decimal(value: Scalar) -> str:
    if isinstance(value, bool):
        raise ValueError("a number")
    try:
        number = Decimal(value)
    except InvalidOperation as error:
        raise ValueError("a number") from error
    if not number.is_finite():
        raise ValueError("a finite number")
    return f"{number:f}"


def _integer(value: Scalar) -> str:
    text = _decimal(value)
    if Decimal(text) != int(Decimal(text)):
        raise ValueError("a whole number")
    return str(int(Decimal(text)))


def _text(value: Scalar) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _bool(value: Scalar) -> str:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return str(value).lower()


_READ: Final[dict[str, Callable[[Scalar], str]]] = {
    "STRING": _text,
    "INT64": _integer,
    "NUMERIC": _decimal,
    "BIGNUMERIC": _decimal,
    "FLOAT64": _decimal,
    "BOOL": _bool,
    "DATE": _time(dt.date.fromisoformat),
    "DATETIME": _time(dt.datetime.fromisoformat),
    "TIMESTAMP": _time(dt.datetime.fromisoformat),
    "TIME": _time(dt.time.fromisoformat),
}


def text_of(value: Scalar, type_: str) -> str:
    """Return a value of a suite as text of a column's type.

    Raises:
        ValueError: it does not fit; the text says what is allowed.
    """
    read = _READ.get(type_)
    if read is None:
        raise ValueError(f"no value: {type_} cannot be compared")
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"a value of type {type_} ({error})") from error


def literal(text: str, type_: str) -> str:
    """Return a text of a type as a GoogleSQL literal."""
    quoted = "'" + re.sub(r"([\\'])", r"\\\1", text).replace("\n", "\\n") + "'"
    if type_ == "STRING":
        return quoted
    return f"CAST({quoted} AS {type_})"

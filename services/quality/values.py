"""Values of a suite as texts of a column's BigQuery type, and those texts as values in order."""

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final

MONEY: Final = frozenset({"NUMERIC", "BIGNUMERIC"})
NUMBERS: Final = MONEY | {"INT64", "FLOAT64"}
EXACT: Final = MONEY | {"INT64"}
DATED: Final = frozenset({"DATE", "DATETIME", "TIMESTAMP"})
BOUNDED: Final = NUMBERS | DATED
"""Types whose values JSON can bound: Great Expectations takes numbers and dates as ends."""

ORDERED: Final = BOUNDED | {"TIME", "STRING"}
KNOWN: Final = ORDERED | {"BOOL", "JSON", "BYTES"}

_DIGITS: Final = {"NUMERIC": (29, 9), "BIGNUMERIC": (20, 18)}
"""Digits that a column holds before and after the point."""

_LONGEST: Final = 76
"""Digits of any number that is compared, before and after the point."""

_BELOW_MICROS: Final = re.compile(r"[.,]\d{7}")


def number_text(value: object) -> str:
    """Return a JSON number as plain text; raise ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("a number")
    number = Decimal(value)
    whole, fraction = _places(number)
    if whole > _LONGEST or fraction > _LONGEST:
        raise ValueError(f"a number of at most {_LONGEST} digits before and after the point")
    return f"{number:f}"


def _places(number: Decimal) -> tuple[int, int]:
    """Return how many digits stand before and after the point, zeros at the ends not counted."""
    if not number:
        return 0, 0
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), f"{number} has sign {sign} and is not finite"
    significant = len("".join(map(str, digits)).rstrip("0"))
    last = exponent + len(digits) - significant
    return max(0, number.adjusted() + 1), max(0, -last)


def _decimal(type_: str) -> Callable[[object], str]:
    most_whole, most_fraction = _DIGITS[type_]

    def read(value: object) -> str:
        text = number_text(value)
        whole, fraction = _places(Decimal(text))
        if whole > most_whole or fraction > most_fraction:
            raise ValueError(f"{most_whole} digits before and {most_fraction} after the point")
        return text

    return read


def _integer(value: object) -> str:
    number = Decimal(number_text(value))
    if number != int(number) or not -(2**63) <= number < 2**63:
        raise ValueError("a whole number of 64 bits")
    return str(int(number))


def _float(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise ValueError("a number")
    try:
        number = float(value)
    except OverflowError:
        number = float("inf")
    if number in {float("inf"), float("-inf")}:
        raise ValueError("a number of 64 bits")
    return repr(number)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


def _bool(value: object) -> str:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return str(value).lower()


def _iso(read: Callable[[str], Any], allowed: str) -> Callable[[object], str]:
    def checked(value: object) -> str:
        if not isinstance(value, str) or _BELOW_MICROS.search(value):
            raise ValueError(allowed)
        try:
            return str(read(value).isoformat())
        except (ValueError, OverflowError) as error:
            raise ValueError(allowed) from error

    return checked


def _plain_datetime(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo:
        raise ValueError(text)
    return moment


def _moment(text: str) -> dt.datetime:
    """Read a moment; without an offset it is in UTC, as BigQuery has it."""
    moment = dt.datetime.fromisoformat(text)
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _time(text: str) -> dt.time:
    time = dt.time.fromisoformat(text)
    if time.tzinfo:
        raise ValueError(text)
    return time


_TEXTS: Final[dict[str, Callable[[object], str]]] = {
    "STRING": _text,
    "INT64": _integer,
    "NUMERIC": _decimal("NUMERIC"),
    "BIGNUMERIC": _decimal("BIGNUMERIC"),
    "FLOAT64": _float,
    "BOOL": _bool,
    "DATE": _iso(dt.date.fromisoformat, "a text YYYY-MM-DD"),
    "DATETIME": _iso(_plain_datetime, "a text YYYY-MM-DDTHH:MM:SS without an offset"),
    "TIMESTAMP": _iso(_moment, "a text YYYY-MM-DDTHH:MM:SS+00:00"),
    "TIME": _iso(_time, "a text HH:MM:SS"),
}

_ORDER: Final[dict[str, Callable[[str], Any]]] = {
    "STRING": str,
    "FLOAT64": float,
    "DATE": dt.date.fromisoformat,
    "DATETIME": dt.datetime.fromisoformat,
    "TIMESTAMP": _moment,
    "TIME": dt.time.fromisoformat,
}


def text_of(value: object, type_: str) -> str:
    """Return a JSON value of a suite as text of a column's type; never rounds.

    Raises:
        ValueError: it does not fit; the text says what is allowed.
    """
    read = _TEXTS.get(type_)
    if read is None:
        raise ValueError(f"no value: {type_} cannot be compared")
    try:
        return read(value)
    except ValueError as error:
        raise ValueError(f"a value of type {type_}: {error}") from error


def ordered(text: str, type_: str) -> Any:
    """Return a text of an ordered type as a value that compares as BigQuery compares it."""
    return _ORDER.get(type_, Decimal)(text)

"""Kwargs of an expectation, read one by one; what cannot be compiled is refused by name."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final

from services.quality.checks import Column, Ignore, Range
from services.quality.regexes import portable
from services.quality.values import EXACT, number_text, ordered, text_of

Columns = Mapping[str, Column]
Kwargs = Mapping[str, Any]

PAIR_IGNORE: Final = {
    "both_values_are_missing": Ignore.ALL_MISSING,
    "either_value_is_missing": Ignore.ANY_MISSING,
    "neither": Ignore.NONE,
}
COMPOUND_IGNORE: Final = {
    "all_values_are_missing": Ignore.ALL_MISSING,
    "any_value_is_missing": Ignore.ANY_MISSING,
    "never": Ignore.NONE,
}


class KwargRefused(Exception):
    """A kwarg that cannot be compiled; the text says found and allowed."""

    def __init__(self, kwarg: str, text: str) -> None:
        super().__init__(text)
        self.kwarg = kwarg


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `did you mean x?`, or what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"


def shown(value: object) -> str:
    """Return a value as JSON has it, near enough to be found in the file."""
    return str(value) if isinstance(value, Decimal) else repr(value)


def column(kwargs: Kwargs, columns: Columns, key: str = "column") -> Column:
    """Return the column that a kwarg names: one of single values."""
    return known(kwargs.get(key), columns, key)


def known(name: object, columns: Columns, key: str) -> Column:
    """Return the column of a name."""
    if not isinstance(name, str):
        raise KwargRefused(key, f"found {shown(name)}; allowed is the name of a column")
    found = columns.get(name)
    if found is None:
        raise KwargRefused(key, f"found {name!r}, which is no column; {suggestion(name, columns)}")
    if found.repeated:
        raise KwargRefused(
            key, f"found {name}, which is REPEATED; allowed are columns of single values"
        )
    return found


def of_type(found: Column, allowed: frozenset[str], key: str = "column") -> Column:
    """Return the column if it is of an allowed type."""
    if found.type not in allowed:
        types = ", ".join(sorted(allowed))
        text = f"found {found.name}, which is {found.type}; allowed are columns of type {types}"
        raise KwargRefused(key, text)
    return found


def mostly(kwargs: Kwargs) -> float:
    """Return the share of rows that must be as expected; 1 if none is given."""
    found = kwargs.get("mostly", 1)
    if isinstance(found, bool) or not isinstance(found, int | Decimal) or not 0 <= found <= 1:
        raise KwargRefused("mostly", f"found {shown(found)}; allowed is a number from 0 to 1")
    return float(found)


def flag(kwargs: Kwargs, key: str, *, default: bool = False) -> bool:
    """Return a kwarg that is true or false."""
    value = kwargs.get(key, default)
    if not isinstance(value, bool):
        raise KwargRefused(key, f"found {shown(value)}; allowed are true and false")
    return value


def some_range(found: Range) -> Range:
    """Return the range if one end at least is given, as Great Expectations wants it of rows."""
    if found.min_value is None and found.max_value is None:
        raise KwargRefused("min_value", "found neither min_value nor max_value; give one")
    return found


def open_range(kwargs: Kwargs, type_: str) -> Range:
    """Return a range of which neither end need be given; exact types compare with any number."""
    return _range(kwargs, number_text if type_ in EXACT else partial(text_of, type_=type_), type_)


def count_range(kwargs: Kwargs) -> Range:
    """Return a range of whole numbers, of which neither end need be given."""
    return _range(kwargs, partial(text_of, type_="INT64"), "INT64")


def _range(kwargs: Kwargs, read: Callable[[Any], str], type_: str) -> Range:
    ends: dict[str, str | None] = {}
    for key in ("min_value", "max_value"):
        value = kwargs.get(key)
        try:
            ends[key] = None if value is None else read(value)
        except ValueError as error:
            raise KwargRefused(key, f"found {shown(value)}; allowed is {error}") from error
    low, high = ends["min_value"], ends["max_value"]
    if low is not None and high is not None and ordered(low, type_) > ordered(high, type_):
        raise KwargRefused("min_value", f"found {low}; allowed is at most max_value, {high}")
    return Range(
        min_value=low,
        max_value=high,
        strict_min=flag(kwargs, "strict_min"),
        strict_max=flag(kwargs, "strict_max"),
    )


def value_set(kwargs: Kwargs, type_: str) -> tuple[str, ...]:
    """Return a set of a column's values; null in it says nothing, since nulls are not looked at."""
    found = kwargs.get("value_set")
    if not isinstance(found, list):
        raise KwargRefused("value_set", f"found {shown(found)}; allowed is a list of values")
    texts = []
    for i, value in enumerate(found):
        try:
            texts += [] if value is None else [text_of(value, type_)]
        except ValueError as error:
            place = f"value_set[{i}]"
            raise KwargRefused(place, f"found {shown(value)}; allowed is {error}") from error
    return tuple(texts)


def regex(kwargs: Kwargs) -> str:
    """Return a regular expression in the syntax of the workers."""
    found = kwargs.get("regex")
    if not isinstance(found, str):
        raise KwargRefused("regex", f"found {shown(found)}; allowed is a regular expression")
    try:
        return portable(found)
    except ValueError as error:
        raise KwargRefused("regex", f"found {found!r}; {error}") from error


def ignore(kwargs: Kwargs, words: Mapping[str, Ignore]) -> Ignore:
    """Return which rows are left out; the first of `words` if nothing is given."""
    found = kwargs.get("ignore_row_if", next(iter(words)))
    if not isinstance(found, str) or found not in words:
        text = f"found {shown(found)}; allowed are {', '.join(words)}"
        raise KwargRefused("ignore_row_if", text)
    return words[found]


def names(kwargs: Kwargs, key: str) -> list[str]:
    """Return a list of names."""
    found = kwargs.get(key)
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise KwargRefused(key, f"found {shown(found)}; allowed is a list of names")
    return found


def whole(kwargs: Kwargs, key: str) -> str:
    """Return a whole number as text."""
    try:
        return text_of(kwargs.get(key), "INT64")
    except ValueError as error:
        raise KwargRefused(key, f"found {shown(kwargs.get(key))}; allowed is {error}") from error

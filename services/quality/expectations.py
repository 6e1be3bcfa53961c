"""The expectations that are compiled: their kwargs, and what each becomes for a table's columns."""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import re2

from services.quality.checks import (
    Aggregate,
    Check,
    ColumnsMatch,
    ColumnThere,
    Duplicates,
    Ignore,
    Measure,
    Predicate,
    Range,
    RowCheck,
    RowCount,
)
from services.quality.values import NUMBERS, ORDERED, text_of


class KwargRefused(Exception):
    """A kwarg that cannot be compiled; the text says found and allowed."""

    def __init__(self, kwarg: str, text: str) -> None:
        super().__init__(text)
        self.kwarg = kwarg


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of the table that a suite is about."""

    name: str
    type: str
    repeated: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One expectation, bound to columns."""

    rule_id: str
    type: str
    severity: str
    kwargs: str
    quarantines: bool
    check: Check


Columns = Mapping[str, Column]
Kwargs = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One type of expectation."""

    kwargs: frozenset[str]
    bind: Callable[[Kwargs, Columns], Check]
    about_rows: bool = False


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `did you mean x?`, or what is known."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(names)}"


def _column(kwargs: Kwargs, columns: Columns, key: str = "column") -> Column:
    name = kwargs.get(key)
    if not isinstance(name, str):
        raise KwargRefused(key, f"found {name!r}; allowed is the name of a column")
    return _known(name, columns, key)


def _known(name: str, columns: Columns, key: str) -> Column:
    column = columns.get(name)
    if column is None:
        raise KwargRefused(key, f"no column {name}; {suggestion(name, columns)}")
    if column.repeated:
        raise KwargRefused(key, f"column {name} is REPEATED; allowed are columns of single values")
    return column


def _ordered(column: Column, allowed: frozenset[str], key: str = "column") -> Column:
    if column.type not in allowed:
        types = ", ".join(sorted(allowed))
        raise KwargRefused(key, f"column {column.name} is {column.type}; allowed are {types}")
    return column


def _mostly(kwargs: Kwargs) -> float:
    mostly = kwargs.get("mostly", 1)
    if isinstance(mostly, bool | str) or not 0 <= float(mostly) <= 1:
        raise KwargRefused("mostly", f"found {mostly!r}; allowed is a number from 0 to 1")
    return float(mostly)


def _flag(kwargs: Kwargs, key: str, default: bool = False) -> bool:
    value = kwargs.get(key, default)
    if not isinstance(value, bool):
        raise KwargRefused(key, f"found {value!r}; allowed are true and false")
    return value


def _range(kwargs: Kwargs, type_: str) -> Range:
    ends: dict[str, str | None] = {}
    for key in ("min_value", "max_value"):
        value = kwargs.get(key)
        try:
            ends[key] = None if value is None else text_of(value, type_)
        except ValueError as error:
            raise KwargRefused(key, f"found {value!r}; allowed is {error}") from error
    if ends["min_value"] is None and ends["max_value"] is None:
        raise KwargRefused("min_value", "neither min_value nor max_value is given; give one")
    return Range(
        min_value=ends["min_value"],
        max_value=ends["max_value"],
        strict_min=_flag(kwargs, "strict_min"),
        strict_max=_flag(kwargs, "strict_max"),
    )


def _set(kwargs: Kwargs, column: Column) -> tuple[str, ...]:
    found = kwargs.get("value_set")
    if not isinstance(found, list):
        raise KwargRefused("value_set", f"found {found!r}; allowed is a list of values")
    try:
        return tuple(text_of(value, column.type) for value in found if value is not None)
    except ValueError as error:
        raise KwargRefused("value_set", f"found {found!r}; allowed is {error}") from error


def _regex(kwargs: Kwargs) -> str:
    regex = kwargs.get("regex")
    if not isinstance(regex, str):
        raise KwargRefused("regex", f"found {regex!r}; allowed is a regular expression")
    try:
        re2.compile(regex)  # type: ignore[no-untyped-call]
    except re2.error as error:
        raise KwargRefused("regex", f"RE2 refuses {regex!r}: {error}") from error
    return regex


def _rows(predicate: Predicate, *columns: Column, **facts: Any) -> RowCheck:
    return RowCheck(predicate=predicate, columns=tuple(c.name for c in columns), **facts)


def _not_null(kwargs: Kwargs, columns: Columns) -> Check:
    return _rows(Predicate.NOT_BE_NULL, _column(kwargs, columns), mostly=_mostly(kwargs))


def _null(kwargs: Kwargs, columns: Columns) -> Check:
    return _rows(Predicate.BE_NULL, _column(kwargs, columns), mostly=_mostly(kwargs))


def _in_set(kwargs: Kwargs, columns: Columns) -> Check:
    column = _column(kwargs, columns)
    values = _set(kwargs, column)
    return _rows(Predicate.BE_IN_SET, column, values=values, mostly=_mostly(kwargs))


def _not_in_set(kwargs: Kwargs, columns: Columns) -> Check:
    column = _column(kwargs, columns)
    values = _set(kwargs, column)
    return _rows(Predicate.NOT_BE_IN_SET, column, values=values, mostly=_mostly(kwargs))


def _between(kwargs: Kwargs, columns: Columns) -> Check:
    column = _ordered(_column(kwargs, columns), ORDERED)
    range_ = _range(kwargs, column.type)
    return _rows(Predicate.BE_BETWEEN, column, range=range_, mostly=_mostly(kwargs))


def _lengths(kwargs: Kwargs, columns: Columns) -> Check:
    column = _ordered(_column(kwargs, columns), frozenset({"STRING"}))
    range_ = _range(kwargs, "INT64")
    return _rows(Predicate.VALUE_LENGTHS_BETWEEN, column, range=range_, mostly=_mostly(kwargs))


def _matches(kwargs: Kwargs, columns: Columns) -> Check:
    column = _ordered(_column(kwargs, columns), frozenset({"STRING"}))
    regex = _regex(kwargs)
    return _rows(Predicate.MATCH_REGEX, column, regex=regex, mostly=_mostly(kwargs))


def _matches_not(kwargs: Kwargs, columns: Columns) -> Check:
    column = _ordered(_column(kwargs, columns), frozenset({"STRING"}))
    regex = _regex(kwargs)
    return _rows(Predicate.NOT_MATCH_REGEX, column, regex=regex, mostly=_mostly(kwargs))


_PAIR_IGNORE: Final = {
    "both_values_are_missing": Ignore.ALL_MISSING,
    "either_value_is_missing": Ignore.ANY_MISSING,
    "neither": Ignore.NONE,
}
_COMPOUND_IGNORE: Final = {
    "all_values_are_missing": Ignore.ALL_MISSING,
    "any_value_is_missing": Ignore.ANY_MISSING,
    "never": Ignore.NONE,
}


def _ignore(kwargs: Kwargs, known: Mapping[str, Ignore]) -> Ignore:
    value = kwargs.get("ignore_row_if", next(iter(known)))
    if value not in known:
        raise KwargRefused("ignore_row_if", f"found {value!r}; allowed are {', '.join(known)}")
    return known[value]


def _pair(kwargs: Kwargs, columns: Columns) -> tuple[Column, Column]:
    one, other = _column(kwargs, columns, "column_A"), _column(kwargs, columns, "column_B")
    both_numbers = {one.type, other.type} <= NUMBERS
    if one.type != other.type and not both_numbers:
        text = f"{one.name} is {one.type}, {other.name} is {other.type}; allowed are equal types"
        raise KwargRefused("column_B", text)
    return one, other


def _greater(kwargs: Kwargs, columns: Columns) -> Check:
    one, other = _pair(kwargs, columns)
    _ordered(one, ORDERED, "column_A")
    return _rows(
        Predicate.PAIR_GREATER,
        one,
        other,
        or_equal=_flag(kwargs, "or_equal"),
        ignore=_ignore(kwargs, _PAIR_IGNORE),
        mostly=_mostly(kwargs),
    )


def _equal(kwargs: Kwargs, columns: Columns) -> Check:
    one, other = _pair(kwargs, columns)
    ignore = _ignore(kwargs, _PAIR_IGNORE)
    return _rows(Predicate.PAIR_EQUAL, one, other, ignore=ignore, mostly=_mostly(kwargs))


def _unique(kwargs: Kwargs, columns: Columns) -> Check:
    name = _column(kwargs, columns).name
    return Duplicates(columns=(name,), ignore=Ignore.ANY_MISSING, mostly=_mostly(kwargs))


def _compound(kwargs: Kwargs, columns: Columns) -> Check:
    found = kwargs.get("column_list")
    if not isinstance(found, list) or len(found) < 2:
        text = f"found {found!r}; allowed is a list of two or more columns"
        raise KwargRefused("column_list", text)
    names = tuple(_known(str(name), columns, "column_list").name for name in found)
    ignore = _ignore(kwargs, _COMPOUND_IGNORE)
    return Duplicates(columns=names, ignore=ignore, mostly=_mostly(kwargs))


def _row_count(kwargs: Kwargs, _: Columns) -> Check:
    if "value" in kwargs:
        try:
            value = text_of(kwargs["value"], "INT64")
        except ValueError as error:
            raise KwargRefused("value", f"found {kwargs['value']!r}; allowed is {error}") from error
        return RowCount(range=Range(min_value=value, max_value=value))
    return RowCount(range=_range(kwargs, "INT64"))


def _aggregate(measure: Measure, allowed: frozenset[str]) -> Callable[[Kwargs, Columns], Check]:
    def bind(kwargs: Kwargs, columns: Columns) -> Check:
        column = _ordered(_column(kwargs, columns), allowed)
        exact = column.type in {"INT64", "NUMERIC", "BIGNUMERIC"}
        bounds = "BIGNUMERIC" if exact and measure in {Measure.SUM, Measure.MEAN} else column.type
        range_ = _range(kwargs, bounds)
        return Aggregate(measure=measure, column=column.name, type=column.type, range=range_)

    return bind


def _exists(kwargs: Kwargs, columns: Columns) -> Check:
    name, index = kwargs.get("column"), kwargs.get("column_index")
    if not isinstance(name, str):
        raise KwargRefused("column", f"found {name!r}; allowed is the name of a column")
    if index is not None and (isinstance(index, bool) or not isinstance(index, int)):
        raise KwargRefused("column_index", f"found {index!r}; allowed is a whole number")
    names = list(columns)
    there = name in names and (index is None or names.index(name) == index)
    return ColumnThere(column=name, success=there)


def _match_set(kwargs: Kwargs, columns: Columns) -> Check:
    found = kwargs.get("column_set")
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise KwargRefused("column_set", f"found {found!r}; allowed is a list of names")
    wanted, there = set(found), set(columns)
    exact = _flag(kwargs, "exact_match", default=True)
    return ColumnsMatch(
        success=wanted == there if exact else wanted <= there,
        observed=tuple(columns),
    )


_RANGE: Final = frozenset({"min_value", "max_value", "strict_min", "strict_max"})
_ONE: Final = frozenset({"column", "mostly"})
_PAIR: Final = frozenset({"column_A", "column_B", "ignore_row_if", "mostly"})

EXPECTATIONS: Final[dict[str, Kind]] = {
    "expect_column_values_to_not_be_null": Kind(_ONE, _not_null, about_rows=True),
    "expect_column_values_to_be_null": Kind(_ONE, _null, about_rows=True),
    "expect_column_values_to_be_in_set": Kind(_ONE | {"value_set"}, _in_set, about_rows=True),
    "expect_column_values_to_not_be_in_set": Kind(
        _ONE | {"value_set"}, _not_in_set, about_rows=True
    ),
    "expect_column_values_to_be_between": Kind(_ONE | _RANGE, _between, about_rows=True),
    "expect_column_value_lengths_to_be_between": Kind(_ONE | _RANGE, _lengths, about_rows=True),
    "expect_column_values_to_match_regex": Kind(_ONE | {"regex"}, _matches, about_rows=True),
    "expect_column_values_to_not_match_regex": Kind(
        _ONE | {"regex"}, _matches_not, about_rows=True
    ),
    "expect_column_pair_values_a_to_be_greater_than_b": Kind(
        _PAIR | {"or_equal"}, _greater, about_rows=True
    ),
    "expect_column_pair_values_to_be_equal": Kind(_PAIR, _equal, about_rows=True),
    "expect_column_values_to_be_unique": Kind(_ONE, _unique),
    "expect_compound_columns_to_be_unique": Kind(
        frozenset({"column_list", "ignore_row_if", "mostly"}), _compound
    ),
    "expect_table_row_count_to_be_between": Kind(_RANGE, _row_count),
    "expect_table_row_count_to_equal": Kind(frozenset({"value"}), _row_count),
    "expect_column_sum_to_be_between": Kind(_RANGE | {"column"}, _aggregate(Measure.SUM, NUMBERS)),
    "expect_column_mean_to_be_between": Kind(
        _RANGE | {"column"}, _aggregate(Measure.MEAN, NUMBERS)
    ),
    "expect_column_min_to_be_between": Kind(_RANGE | {"column"}, _aggregate(Measure.MIN, ORDERED)),
    "expect_column_max_to_be_between": Kind(_RANGE | {"column"}, _aggregate(Measure.MAX, ORDERED)),
    "expect_column_to_exist": Kind(frozenset({"column", "column_index"}), _exists),
    "expect_table_columns_to_match_set": Kind(frozenset({"column_set", "exact_match"}), _match_set),
}
"""All expectation types that are compiled; every other is refused by name."""

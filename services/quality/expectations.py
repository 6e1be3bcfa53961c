"""The expectations that are compiled: their kwargs, and what each becomes for a table's columns."""

import dataclasses
from collections.abc import Callable
from typing import Any, Final

from services.quality import kwargs as read
from services.quality.checks import (
    Aggregate,
    Check,
    Column,
    ColumnsMatch,
    ColumnThere,
    Duplicates,
    Measure,
    Predicate,
    Range,
    RowCheck,
    RowCount,
)
from services.quality.kwargs import COMPOUND_IGNORE, PAIR_IGNORE, Columns, KwargRefused, Kwargs
from services.quality.values import BOUNDED, EXACT, KNOWN, MONEY, NUMBERS, ORDERED

COMPARED: Final = KNOWN - {"JSON"}
"""Types whose values can be equal: JSON has several texts for one value."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """One expectation, bound to columns."""

    rule_id: str
    type: str
    severity: str
    kwargs: str
    quarantines: bool
    check: Check


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """One type of expectation."""

    kwargs: frozenset[str]
    bind: Callable[[Kwargs, Columns], Check]
    about_rows: bool = False


def _row(
    predicate: Predicate,
    allowed: frozenset[str] = KNOWN,
    facts: Callable[[Kwargs, Column], dict[str, Any]] = lambda *_: {},
) -> Callable[[Kwargs, Columns], Check]:
    """Return what binds a rule over one column of an allowed type."""

    def bind(kwargs: Kwargs, columns: Columns) -> Check:
        column = read.of_type(read.column(kwargs, columns), allowed)
        return RowCheck(
            predicate=predicate,
            columns=(column.name,),
            mostly=read.mostly(kwargs),
            **facts(kwargs, column),
        )

    return bind


def _set(kwargs: Kwargs, column: Column) -> dict[str, Any]:
    return {"values": read.value_set(kwargs, column.type)}


def _range(kwargs: Kwargs, column: Column) -> dict[str, Any]:
    return {"range": read.some_range(read.open_range(kwargs, column.type))}


def _lengths(kwargs: Kwargs, _: Column) -> dict[str, Any]:
    return {"range": read.some_range(read.count_range(kwargs))}


def _regex(kwargs: Kwargs, _: Column) -> dict[str, Any]:
    return {"regex": read.regex(kwargs)}


def _pair(kwargs: Kwargs, columns: Columns, allowed: frozenset[str]) -> tuple[str, str]:
    one = read.of_type(read.column(kwargs, columns, "column_A"), allowed, "column_A")
    other = read.of_type(read.column(kwargs, columns, "column_B"), allowed, "column_B")
    types = {one.type, other.type}
    comparable = len(types) == 1 or types <= EXACT or types <= NUMBERS - MONEY
    if not comparable:
        text = f"{one.name} is {one.type}, {other.name} is {other.type}; allowed are equal types"
        raise KwargRefused("column_B", f"{text}, and whole numbers beside decimals or FLOAT64")
    return one.name, other.name


def _greater(kwargs: Kwargs, columns: Columns) -> Check:
    return RowCheck(
        predicate=Predicate.PAIR_GREATER,
        columns=_pair(kwargs, columns, ORDERED),
        or_equal=read.flag(kwargs, "or_equal"),
        ignore=read.ignore(kwargs, PAIR_IGNORE),
        mostly=read.mostly(kwargs),
    )


def _equal(kwargs: Kwargs, columns: Columns) -> Check:
    return RowCheck(
        predicate=Predicate.PAIR_EQUAL,
        columns=_pair(kwargs, columns, COMPARED),
        ignore=read.ignore(kwargs, PAIR_IGNORE),
        mostly=read.mostly(kwargs),
    )


def _unique(kwargs: Kwargs, columns: Columns) -> Check:
    column = read.of_type(read.column(kwargs, columns), COMPARED)
    return Duplicates(
        columns=(column,),
        ignore=COMPOUND_IGNORE["any_value_is_missing"],
        mostly=read.mostly(kwargs),
    )


def _compound(kwargs: Kwargs, columns: Columns) -> Check:
    names = read.names(kwargs, "column_list")
    if len(names) < 2 or len(set(names)) < len(names):
        text = f"found {names!r}; allowed are two or more columns, each once"
        raise KwargRefused("column_list", text)
    found = []
    for i, name in enumerate(names):
        key = f"column_list[{i}]"
        found.append(read.of_type(read.known(name, columns, key), COMPARED, key))
    ignore = read.ignore(kwargs, COMPOUND_IGNORE)
    return Duplicates(columns=tuple(found), ignore=ignore, mostly=read.mostly(kwargs))


def _row_count(kwargs: Kwargs, _: Columns) -> Check:
    return RowCount(range=read.count_range(kwargs))


def _row_count_equals(kwargs: Kwargs, _: Columns) -> Check:
    value = read.whole(kwargs, "value")
    return RowCount(range=Range(min_value=value, max_value=value))


def _aggregate(measure: Measure, allowed: frozenset[str]) -> Callable[[Kwargs, Columns], Check]:
    def bind(kwargs: Kwargs, columns: Columns) -> Check:
        column = read.of_type(read.column(kwargs, columns), allowed)
        range_ = read.open_range(kwargs, column.type)
        return Aggregate(measure=measure, column=column, range=range_)

    return bind


def _exists(kwargs: Kwargs, columns: Columns) -> Check:
    name, names = kwargs.get("column"), list(columns)
    if not isinstance(name, str):
        raise KwargRefused("column", f"found {read.shown(name)}; allowed is the name of a column")
    if kwargs.get("column_index") is None:
        return ColumnThere(column=name, success=name in names)
    index = int(read.whole(kwargs, "column_index"))
    if index == 0:
        raise KwargRefused("column_index", "found 0, which Great Expectations does not look at")
    there = -len(names) <= index < len(names) and names[index] == name
    return ColumnThere(column=name, success=there)


def _match_set(kwargs: Kwargs, columns: Columns) -> Check:
    wanted, there = set(read.names(kwargs, "column_set")), set(columns)
    exact = read.flag(kwargs, "exact_match", default=True)
    return ColumnsMatch(
        success=wanted == there if exact else wanted <= there,
        observed=tuple(columns),
    )


_RANGE: Final = frozenset({"min_value", "max_value", "strict_min", "strict_max"})
_ONE: Final = frozenset({"column", "mostly"})
_PAIR: Final = frozenset({"column_A", "column_B", "ignore_row_if", "mostly"})
_TEXT: Final = frozenset({"STRING"})


def _kind(
    more: frozenset[str] | set[str],
    predicate: Predicate,
    allowed: frozenset[str] = KNOWN,
    facts: Callable[[Kwargs, Column], dict[str, Any]] = lambda *_: {},
) -> Kind:
    return Kind(_ONE | more, _row(predicate, allowed, facts), about_rows=True)


EXPECTATIONS: Final[dict[str, Kind]] = {
    "expect_column_values_to_not_be_null": _kind(set(), Predicate.NOT_BE_NULL),
    "expect_column_values_to_be_null": _kind(set(), Predicate.BE_NULL),
    "expect_column_values_to_be_in_set": _kind({"value_set"}, Predicate.BE_IN_SET, facts=_set),
    "expect_column_values_to_not_be_in_set": _kind(
        {"value_set"}, Predicate.NOT_BE_IN_SET, facts=_set
    ),
    "expect_column_values_to_be_between": _kind(_RANGE, Predicate.BE_BETWEEN, BOUNDED, _range),
    "expect_column_value_lengths_to_be_between": _kind(
        _RANGE, Predicate.VALUE_LENGTHS_BETWEEN, _TEXT, _lengths
    ),
    "expect_column_values_to_match_regex": _kind({"regex"}, Predicate.MATCH_REGEX, _TEXT, _regex),
    "expect_column_values_to_not_match_regex": _kind(
        {"regex"}, Predicate.NOT_MATCH_REGEX, _TEXT, _regex
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
    "expect_table_row_count_to_equal": Kind(frozenset({"value"}), _row_count_equals),
    "expect_column_sum_to_be_between": Kind(_RANGE | {"column"}, _aggregate(Measure.SUM, NUMBERS)),
    "expect_column_mean_to_be_between": Kind(
        _RANGE | {"column"}, _aggregate(Measure.MEAN, NUMBERS)
    ),
    "expect_column_min_to_be_between": Kind(_RANGE | {"column"}, _aggregate(Measure.MIN, BOUNDED)),
    "expect_column_max_to_be_between": Kind(_RANGE | {"column"}, _aggregate(Measure.MAX, BOUNDED)),
    "expect_column_to_exist": Kind(frozenset({"column", "column_index"}), _exists),
    "expect_table_columns_to_match_set": Kind(frozenset({"column_set", "exact_match"}), _match_set),
}
"""All expectation types that are compiled; every other is refused by name."""

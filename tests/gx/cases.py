"""What Great Expectations and Convergence are both asked. Standard library only, as `tables.py`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from tests.gx import known
from tests.gx.known import Case
from tests.gx.tables import COLUMNS, SEED, WORDS, Dice, Table, generated

FEW = 8
"""Expectations of one kind that a table is asked at most."""

TIMES = {
    "day": "2024-02-27",
    "at": "2024-02-27T01:30:00",
    "moment": "2024-02-28T02:00:00+00:00",
}
"""A moment among those of each column."""

REGEXES = (
    "a", "^a", "b$", "^b$", "^$", "", "^.*$", ".", "^..$", r"\d", r"^\d+$", r"^\w+$", r"\W", r"\s",
    r"^\S+$", r"[\w-]+$", r"[^\W\d_]", r"^[^\s\d]+$", "^[A-Z]{3}$", "(?i)^usd$", "(?i)ab", "usd|12",
    "^(?:usd|USD)$", "[a&&b]", "[[]", r"\[x\]", r"\{2\}", "a{,1}b", "{", "x{}|y", r"\<|a",
    r"-?\d+\.\d+", "(?m)^usd$", "(?m)^b$", "(?s)b.", "b.", r"\Aa", "ß", "é", r"\x62", r"a\-b",
    "(?P<first>a)(b)?", "a+?b", "[]x]", "[^]x]", r"^[a-z0-9_\-.]+$", "日.", r"^\w\d", r"[\S]",
    r"^[\W]$", r"\bab", r"[^\S\n]", r"(a|b$)", r"^[\D\s]*$", r"a{1,2}$", r"\.", "[a-c]{1,2}",
)  # fmt: skip

Asked = tuple[str, dict[str, Any]]


def tables() -> list[Table]:
    """Return every table; the same on every call."""
    return [*generated(), *known.tables()]


def cases() -> list[Case]:
    """Return every case, table by table; the same on every call, and no case twice."""
    drawn = [case for table in generated() for case in _drawn(table)]
    return [*drawn, *known.cases()]


def _drawn(table: Table) -> list[Case]:
    dice = Dice(f"{SEED} cases {table.name}")
    found: dict[str, Case] = {}
    for kind in KINDS:
        enough = len(found) + FEW
        for type_, kwargs in kind(table, dice):
            case = Case(table=table.name, type=type_, kwargs=kwargs)
            found.setdefault(json.dumps([type_, kwargs], sort_keys=True), case)
            if len(found) == enough:
                break
    return list(found.values())


def _number(text: str) -> float | int:
    return int(text) if text.lstrip("-").isdigit() else float(text)


def _json(column: str, text: str) -> object:
    """Return a cell as JSON has it."""
    if COLUMNS[column] == "STRING":
        return text
    return text == "true" if COLUMNS[column] == "BOOL" else _number(text)


def _share(dice: Dice, count: int) -> dict[str, Any]:
    """Return `mostly` or none: often a share that `count` rows can have, or the float beside it."""
    if dice.flip(0.3):
        return {}
    if dice.flip(0.2) or not count:
        return {"mostly": dice.one((0, 1, 0.5, 0.9, 1.0, 0.95))}
    return {"mostly": dice.one(_beside(dice.below(count + 1) / count))}


def _beside(exact: float) -> tuple[float, ...]:
    return exact, exact, math.nextafter(exact, 0), min(1.0, math.nextafter(exact, 1))


def _ends(dice: Dice, found: Sequence[Any]) -> dict[str, Any]:
    """Return a range between values that are found: strict, or open on one side, by chance."""
    low, high = sorted((dice.one(found), dice.one(found)))
    given: dict[str, Any] = {"min_value": low, "max_value": high}
    if dice.flip(0.3):
        given[dice.one(tuple(given))] = None
    for key in ("strict_min", "strict_max"):
        if dice.flip(0.35):
            given[key] = dice.flip(0.8)
    return given


def _bounds(table: Table, column: str) -> list[Any]:
    values = table.values(column)
    if column in TIMES:
        return [*values, TIMES[column]]
    return [*map(_number, values), 0, 2, -1 if COLUMNS[column] == "INT64" else 0.125]


def _nulls(table: Table, dice: Dice) -> Iterator[Asked]:
    for _ in range(2 * FEW):
        type_ = f"expect_column_values_to_{dice.one(('not_be_null', 'be_null'))}"
        yield type_, {"column": dice.one(tuple(COLUMNS)), **_share(dice, len(table.rows))}


def _thresholds(table: Table, dice: Dice) -> Iterator[Asked]:
    """Yield ranges that exactly k of n rows break, with the share of the others as `mostly`."""
    count = len(table.rows)
    for k in dice.some(range(count + 1), count + 1):
        for mostly in dict.fromkeys(_beside((count - k) / max(count, 1))):
            kwargs = {"column": "step", "min_value": k, "mostly": mostly}
            yield "expect_column_values_to_be_between", kwargs


def _sets(table: Table, dice: Dice) -> Iterator[Asked]:
    extra: dict[str, tuple[Any, ...]] = {
        "word": WORDS,
        "flag": (True, False),
        "n": (0, 1, 2.0, -7),
        "step": (0, 5.0, 1000),
    }
    for _ in range(3 * FEW):
        column = dice.one(("n", "step", "money", "cost", "ratio", "word", "word", "flag"))
        chosen = dice.some([_json(column, text) for text in table.values(column)], dice.below(9))
        chosen += dice.some(extra.get(column, (0, 2.0, -7, 0.5)), dice.below(3))
        chosen += [None] if dice.flip(0.2) else []
        type_ = f"expect_column_values_to_{dice.one(('be_in_set', 'not_be_in_set'))}"
        mostly = _share(dice, len(table.values(column)))
        yield type_, {"column": column, "value_set": chosen, **mostly}


def _ranges(table: Table, dice: Dice) -> Iterator[Asked]:
    for _ in range(3 * FEW):
        column = dice.one(("n", "money", "cost", "ratio", *TIMES))
        range_ = _ends(dice, _bounds(table, column))
        mostly = _share(dice, len(table.values(column)))
        yield "expect_column_values_to_be_between", {"column": column, **range_, **mostly}


def _lengths(table: Table, dice: Dice) -> Iterator[Asked]:
    for _ in range(3 * FEW):
        range_ = _ends(dice, (0, 1, 2, 3, 6))
        mostly = _share(dice, len(table.values("word")))
        yield "expect_column_value_lengths_to_be_between", {"column": "word", **range_, **mostly}


def _regexes(table: Table, dice: Dice) -> Iterator[Asked]:
    for regex in dice.some(REGEXES, FEW):
        type_ = f"expect_column_values_to_{dice.one(('match', 'match', 'not_match'))}_regex"
        mostly = _share(dice, len(table.values("word")))
        yield type_, {"column": "word", "regex": regex, **mostly}


def _unique(table: Table, dice: Dice) -> Iterator[Asked]:
    for column in dice.some(tuple(COLUMNS), len(COLUMNS)):
        mostly = _share(dice, len(table.values(column)))
        yield "expect_column_values_to_be_unique", {"column": column, **mostly}


def _compound(table: Table, dice: Dice) -> Iterator[Asked]:
    lists = (
        ["n", "m"], ["word", "n"], ["flag", "day"], ["flag", "day", "n"], ["day", "until"],
        ["step", "n"], ["money", "flag"],
    )  # fmt: skip
    ignores = (None, "all_values_are_missing", "any_value_is_missing", "never")
    for _ in range(2 * FEW):
        kwargs = {"column_list": dice.one(lists), **_share(dice, len(table.rows))}
        yield "expect_compound_columns_to_be_unique", _with(kwargs, "ignore_row_if", dice, ignores)


def _pairs(table: Table, dice: Dice) -> Iterator[Asked]:
    pairs = (
        ("n", "m"), ("money", "cost"), ("ratio", "n"), ("word", "other"), ("day", "until"),
        ("money", "step"),
    )  # fmt: skip
    ignores = (None, "both_values_are_missing", "either_value_is_missing", "neither")
    for _ in range(4 * FEW):
        one, other = dice.one(pairs)
        kwargs = {"column_A": one, "column_B": other, **_share(dice, len(table.rows))}
        kwargs = _with(kwargs, "ignore_row_if", dice, ignores)
        if dice.flip(0.4):
            yield "expect_column_pair_values_to_be_equal", kwargs
        else:
            kwargs = _with(kwargs, "or_equal", dice, (None, True, False))
            yield "expect_column_pair_values_a_to_be_greater_than_b", kwargs


def _with(
    kwargs: dict[str, Any], key: str, dice: Dice, values: tuple[object, ...]
) -> dict[str, Any]:
    value = dice.one(values)
    return kwargs if value is None else {**kwargs, key: value}


def _counts(table: Table, dice: Dice) -> Iterator[Asked]:
    around = tuple(max(0, len(table.rows) + step) for step in (-1, 0, 1))
    yield "expect_table_row_count_to_be_between", {}
    for _ in range(FEW):
        yield "expect_table_row_count_to_be_between", _ends(dice, around)
        yield "expect_table_row_count_to_equal", {"value": dice.one(around)}


def _aggregates(table: Table, dice: Dice) -> Iterator[Asked]:
    """Yield ranges that often end exactly at the aggregate.

    Great Expectations cannot find the least of dates among nulls, so such columns are left out.
    """
    timed = [name for name in TIMES if name != "day" or None not in table.column("day")]
    for _ in range(6 * FEW):
        measure = dice.one(("sum", "mean", "min", "max"))
        columns = ["n", "money", "cost", "ratio", *(timed if measure in {"min", "max"} else ())]
        column = dice.one(columns)
        bare = column not in TIMES and dice.flip(0.1)
        range_ = {} if bare else _ends(dice, _around(table, measure, column))
        yield f"expect_column_{measure}_to_be_between", {"column": column, **range_}


def _around(table: Table, measure: str, column: str) -> list[Any]:
    if column in TIMES or not table.values(column):
        return _bounds(table, column)
    amounts = [Fraction(value) for value in table.values(column)]
    found = {
        "sum": sum(amounts),
        "mean": sum(amounts) / len(amounts),
        "min": min(amounts),
        "max": max(amounts),
    }[measure]
    near = float(found)
    if Fraction(near) != found:
        return [near - 0.5, near + 0.25]
    exact = int(near) if near.is_integer() else near
    return [exact, exact, exact - 1, exact + 0.5]


def _schema(table: Table, dice: Dice) -> Iterator[Asked]:
    names = list(table.columns)
    sets: tuple[list[str], ...] = (
        names,
        names[::-1],
        names[:4],
        [*names, "gone"],
        [],
        [*names, "n"],
    )
    for _ in range(FEW):
        column = dice.one((names[1], names[3], names[-1], "gone", "DAY"))
        kwargs = _with({"column": column}, "column_index", dice, (None, 1, 3, -1, -10, 40, -40))
        yield "expect_column_to_exist", kwargs
        kwargs = _with({"column_set": dice.one(sets)}, "exact_match", dice, (None, True, False))
        yield "expect_table_columns_to_match_set", kwargs


KINDS = (
    _nulls, _thresholds, _sets, _ranges, _lengths, _regexes, _unique, _compound, _pairs, _counts,
    _aggregates, _aggregates, _schema,
)  # fmt: skip
"""What a generated table is asked, kind by kind."""

"""Row rules: which rows they break, which they leave out, and which rules there cannot be."""

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from services.ingest.rules import Ignore, Predicate, Rule, check, evaluate, row_rules, samples
from tests.unit.ingest.reading import columns

SCHEMA = columns(
    "s STRING",
    "i INT64",
    "j INT64",
    "m NUMERIC",
    "b BIGNUMERIC",
    "f FLOAT64",
    "d DATE",
    "t BOOL",
    "x JSON",
)
BY_NAME = {column.name: column for column in SCHEMA}


def rule(predicate: Predicate, *names: str, **fields: Any) -> Rule:
    return Rule(
        rule_id="7",
        expectation_type="expect_something",
        predicate=predicate,
        columns=names,
        **fields,
    )


def broken(judged: Rule, **values: list[Any]) -> tuple[list[bool], int]:
    """Return which of some rows break a rule, and how many it leaves out."""
    schema = {name: BY_NAME[name].dtype for name in values}
    found = evaluate(judged, pl.DataFrame(values, schema=schema), BY_NAME)
    return found.unexpected.to_list(), found.missing_count


@pytest.mark.parametrize(
    ("judged", "values", "expected"),
    [
        (rule(Predicate.NOT_BE_NULL, "i"), [1, None], ([False, True], 0)),
        (rule(Predicate.BE_NULL, "i"), [1, None], ([True, False], 0)),
        (rule(Predicate.BE_IN_SET, "s", values=("a", "b")), ["a", "c", None], ([False, True, False], 1)),
        (rule(Predicate.NOT_BE_IN_SET, "s", values=("a",)), ["a", "c", None], ([True, False, False], 1)),
        (rule(Predicate.BE_IN_SET, "i", values=("1", "x")), [1, 2], ([False, True], 0)),
        (rule(Predicate.NOT_BE_IN_SET, "i", values=("1", "x")), [1, 2], ([True, False], 0)),
        (rule(Predicate.BE_IN_SET, "m", values=("1.50",)), [Decimal("1.5"), Decimal(2)], ([False, True], 0)),
        (rule(Predicate.BE_BETWEEN, "i", min_value="1", max_value="3"), [0, 1, 3, 4], ([True, False, False, True], 0)),
        (
            rule(Predicate.BE_BETWEEN, "i", min_value="1", max_value="3", strict_min=True, strict_max=True),
            [1, 2, 3, None],
            ([True, False, True, False], 1),
        ),
        (rule(Predicate.BE_BETWEEN, "s", min_value="b"), ["a", "b"], ([True, False], 0)),
        (
            rule(Predicate.BE_BETWEEN, "d", max_value="2026-11-01"),
            [dt.date(2026, 11, 1), dt.date(2026, 11, 2)],
            ([False, True], 0),
        ),
        (rule(Predicate.BE_BETWEEN, "f", min_value="0.1"), [0.1, 0.09], ([False, True], 0)),
        (rule(Predicate.VALUE_LENGTHS_BETWEEN, "s", min_value="2"), ["é", "éé", None], ([True, False, False], 1)),
        (rule(Predicate.MATCH_REGEX, "s", regex="^a+$"), ["aa", "ab", None], ([False, True, False], 1)),
        (rule(Predicate.NOT_MATCH_REGEX, "s", regex="b"), ["aa", "ab", None], ([False, True, False], 1)),
    ],
    ids=[
        "not null", "null", "in set", "not in set", "a value that is none of the type",
        "not a value that is none of the type", "decimals by value", "between", "strictly between",
        "texts", "days", "doubles", "lengths in characters", "regex", "not regex",
    ],
)  # fmt: skip
def test_a_rule_over_one_column(
    judged: Rule, values: list[Any], expected: tuple[list[bool], int]
) -> None:
    assert broken(judged, **{judged.columns[0]: values}) == expected


@pytest.mark.parametrize(
    ("bounds", "holds"),
    [
        ({"min_value": "0.5"}, [1, 2]),
        ({"min_value": "0.5", "strict_min": True}, [1, 2]),
        ({"max_value": "1.5"}, [-1, 0, 1]),
        ({"max_value": "1.5", "strict_max": True}, [-1, 0, 1]),
        ({"min_value": "-1e50"}, [-1, 0, 1, 2]),
        ({"min_value": "1e50"}, []),
        ({"max_value": "1e50"}, [-1, 0, 1, 2]),
        ({"max_value": "-1e50"}, []),
    ],
    ids=[
        "low",
        "strict low",
        "high",
        "strict high",
        "below all",
        "above all",
        "high above all",
        "high below all",
    ],
)
@pytest.mark.parametrize("name", ["i", "m", "b"])
def test_a_bound_between_values_of_the_type_or_beyond_them_bounds_all_the_same(
    name: str, bounds: dict[str, Any], holds: list[int]
) -> None:
    values = [-1, 0, 1, 2]
    unexpected, _ = broken(rule(Predicate.BE_BETWEEN, name, **bounds), **{name: values})
    assert [value for value, bad in zip(values, unexpected, strict=True) if not bad] == holds


def test_the_largest_value_lies_within_itself_and_not_strictly() -> None:
    most = "99999999999999999999.999999999999999999"
    values = [Decimal(most), Decimal(1)]
    assert broken(rule(Predicate.BE_BETWEEN, "b", max_value=most), b=values)[0] == [False, False]
    strict = rule(Predicate.BE_BETWEEN, "b", max_value=most, strict_max=True)
    assert broken(strict, b=values)[0] == [True, False]


@pytest.mark.parametrize(
    ("ignore", "missing", "unexpected"),
    [
        (Ignore.BOTH_MISSING, 1, [False, True, True, False]),
        (Ignore.EITHER_MISSING, 2, [False, True, False, False]),
        (Ignore.NONE, 0, [False, True, True, True]),
    ],
    ids=lambda value: value.name if isinstance(value, Ignore) else "",
)
def test_a_rule_over_two_columns_leaves_out_what_it_is_told_to(
    ignore: Ignore, missing: int, unexpected: list[bool]
) -> None:
    judged = rule(Predicate.PAIR_GREATER, "i", "j", ignore=ignore)
    found = broken(judged, i=[2, 1, 1, None], j=[1, 1, None, None])
    assert found == (unexpected, missing)


def test_pairs_may_be_equal_where_the_rule_says_so() -> None:
    judged = rule(Predicate.PAIR_GREATER, "i", "j", or_equal=True)
    assert broken(judged, i=[1, 0], j=[1, 1])[0] == [False, True]
    assert broken(rule(Predicate.PAIR_EQUAL, "i", "j"), i=[1, 0], j=[1, 1])[0] == [False, True]


def test_samples_are_values_that_break_the_rule_each_once_and_no_nulls() -> None:
    judged = rule(Predicate.PAIR_EQUAL, "i", "j", ignore=Ignore.NONE)
    frame = pl.DataFrame(
        {"i": [1, 1, 2, None], "j": [3, 3, 2, None]}, schema={"i": pl.Int64, "j": pl.Int64}
    )
    found = evaluate(judged, frame, BY_NAME)
    assert samples(frame, judged, found.unexpected) == ["1 | 3"]


@pytest.mark.parametrize(
    ("judged", "why"),
    [
        (rule(Predicate.BE_NULL, "absent"), "rule 7: no column absent"),
        (rule(Predicate.PAIR_EQUAL, "i", "absent"), "rule 7: no column absent"),
        (rule(Predicate.MATCH_REGEX, "i", regex="a"), "match_regex does not go with INT64"),
        (rule(Predicate.MATCH_REGEX, "s", regex="("), "match_regex does not go with STRING"),
        (rule(Predicate.VALUE_LENGTHS_BETWEEN, "d", min_value="1"), "does not go with DATE"),
        (rule(Predicate.BE_BETWEEN, "i", min_value="x"), "'x' is no number"),
        (rule(Predicate.BE_BETWEEN, "i", min_value="nan"), "'nan' is no number"),
        (rule(Predicate.BE_BETWEEN, "d", max_value="x"), "'x' is no DATE"),
        (rule(Predicate.PAIR_GREATER, "s", "i"), "pair_greater does not go with STRING"),
    ],
    ids=[
        "no column", "no second column", "regex over numbers", "broken regex", "length of days",
        "bound is no number", "bound is not a number", "bound is no day", "pair of two types",
    ],
)  # fmt: skip
def test_a_rule_that_no_row_can_be_judged_by_is_refused(judged: Rule, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check(judged, BY_NAME)


@pytest.mark.parametrize("predicate", list(Predicate))
def test_every_predicate_can_be_judged(predicate: Predicate) -> None:
    names = ("s", "s") if predicate.startswith("pair") else ("s",)
    bounds = {"min_value": "1"} if "between" in predicate else {}
    check(rule(predicate, *names, values=("a",), regex="a", **bounds), BY_NAME)


def test_rules_of_a_run_are_prepared_once_and_refused_each_time() -> None:
    columns = tuple(BY_NAME.values())
    good, bad = rule(Predicate.NOT_BE_NULL, "i"), rule(Predicate.MATCH_REGEX, "i", regex="a")
    assert row_rules((good,), columns) is row_rules((dataclasses.replace(good),), columns)
    for _ in range(2):
        with pytest.raises(ValueError, match="does not go with INT64"):
            row_rules((good, bad), columns)

"""From counts to a verdict: thresholds, severities, aggregates and counts that do not fit."""

import math
from decimal import Decimal
from typing import Any

import pytest

from libs.common.errors import InvalidRequest
from services.quality.checks import Aggregate, Column, Measure, Range
from services.quality.statistics import MemoryTableStatistics, Statistics
from services.quality.suites import Suite
from services.quality.verdicts import (
    Counts,
    Result,
    aggregate,
    check_counts,
    judge,
    mostly_holds,
    plain,
    succeeded,
    table_checks,
)
from tests.unit.quality.suites_of import expect, suite_of

NOT_NULL = expect("column_values_to_not_be_null", column="n")
NOTHING = Statistics(row_count=0, values={})


@pytest.mark.parametrize("count", [1, 3, 7, 10, 49, 10**6, 3 * 10**15 + 1])
def test_a_share_that_is_reached_exactly_is_enough(count: int) -> None:
    for unexpected in {0, 1, count // 3, count // 2, count}:
        exact = (count - unexpected) / count
        assert mostly_holds(count, unexpected, exact)
        assert mostly_holds(count, unexpected, math.nextafter(exact, 0))
        assert not mostly_holds(count, unexpected, math.nextafter(exact, 2))


def test_no_rows_are_enough() -> None:
    assert mostly_holds(0, 0, 1.0)


@pytest.mark.parametrize(
    ("severity", "success"), [("critical", False), ("warning", False), ("info", True)]
)
def test_only_what_is_for_information_may_fail(severity: str, success: bool) -> None:
    suite = suite_of({**NOT_NULL, "severity": severity})
    results = judge(suite, counted(suite, Counts(element_count=2, unexpected_count=1)), NOTHING)
    assert [result.success for result in results] == [False]
    assert succeeded(results) is success


def counted(suite: Suite, *counts: Counts) -> dict[str, Counts]:
    """Return counts of the suite's expectations, in order."""
    return {e.rule_id: c for e, c in zip(suite.expectations, counts, strict=True)}


def test_missing_rows_are_not_evaluated() -> None:
    suite = suite_of(
        expect("column_values_to_be_between", column="n", min_value=0, mostly=0.5),
        expect("column_values_to_be_null", column="n", mostly=0.5),
    )
    half = Counts(element_count=4, missing_count=2, unexpected_count=1)
    assert [r.success for r in judge(suite, counted(suite, half, half), NOTHING)] == [True, True]
    more = Counts(element_count=4, missing_count=2, unexpected_count=2)
    results = judge(suite, counted(suite, more, more), NOTHING)
    assert [r.success for r in results] == [False, True]


def test_results_stand_in_the_suites_order() -> None:
    suite = suite_of(
        expect("table_row_count_to_be_between", min_value=1),
        NOT_NULL,
        expect("column_to_exist", column="n"),
        expect("column_sum_to_be_between", column="n", min_value=1),
    )
    counts = {suite.expectations[1].rule_id: Counts(element_count=2)}
    statistics = Statistics(row_count=2, values={"v1": Decimal(3), "n1": 2})
    results = judge(suite, counts, statistics)
    assert [r.expectation for r in results] == list(suite.expectations)
    assert [(r.element_count, r.observed_value) for r in results] == [
        (2, "2"),
        (2, None),
        (0, None),
        (2, "3"),
    ]


@pytest.mark.parametrize(
    ("counts", "found"),
    [({"other": Counts()}, "other"), ({"other": Counts(), "mine": Counts()}, "mine, other")],
    ids=["another rule", "one too many"],
)
def test_counts_of_other_rules_are_refused(counts: dict[str, Counts], found: str) -> None:
    suite = suite_of({**NOT_NULL, "id": "mine"}, expect("column_to_exist", column="n"))
    with pytest.raises(InvalidRequest) as refusal:
        check_counts(suite, counts)
    assert refusal.value.violations == {"row_metrics": f"found rules {found}; allowed are mine"}


def test_a_rule_without_counts_beside_one_with_them_is_refused() -> None:
    other = expect("column_values_to_be_null", column="n")
    suite = suite_of({**NOT_NULL, "id": "a"}, {**other, "id": "b"})
    with pytest.raises(InvalidRequest):
        check_counts(suite, {"a": Counts(element_count=1)})


def test_no_counts_at_all_are_those_of_no_chunks() -> None:
    check_counts(suite_of(NOT_NULL), {})


async def observed(rows: list[dict[str, Any]], *expectations: dict[str, Any]) -> list[Result]:
    suite = suite_of(*expectations)
    checks = table_checks(suite)
    statistics = await MemoryTableStatistics({"t": rows}).read("t", checks)
    return list(judge(suite, {}, statistics))


COSTS = ["0.1", "0.2", "0.3", "12345678901234567890.123456789012345678", "-12345678901234567890"]


async def test_sums_and_means_of_decimals_are_exact() -> None:
    rows = [{"cost": Decimal(cost)} for cost in COSTS]
    total = Decimal("0.723456789012345678")
    results = await observed(
        rows,
        expect("column_sum_to_be_between", column="cost", min_value=0.7, max_value=0.8),
        expect("column_mean_to_be_between", column="cost", min_value=0.1, max_value=0.2),
    )
    assert [Decimal(str(r.observed_value)) for r in results] == [total, total / 5]
    assert [r.success for r in results] == [True, True]


@pytest.mark.parametrize("measure", ["sum", "min", "max", "mean"])
async def test_a_bound_of_a_decimal_is_its_text(measure: str) -> None:
    rows = [{"cost": Decimal("0.1")}] * (3 if measure == "mean" else 1)
    type_ = f"column_{measure}_to_be_between"
    results = await observed(
        rows,
        expect(type_, column="cost", min_value=0.1, max_value=0.1),
        expect(type_, column="cost", min_value=0.1, strict_min=True),
        expect(type_, column="cost", max_value=0.1, strict_max=True),
    )
    assert [r.success for r in results] == [True, False, False]
    assert {r.observed_value for r in results} == {"0.1"}


async def test_a_mean_that_has_no_decimal_is_compared_without_dividing() -> None:
    rows = [{"n": 1}, {"n": 0}, {"n": 0}]
    below, above = "0.33333333333333333333", "0.33333333333333333334"
    results = [
        await _mean_within(rows, low, high)
        for low, high in ((below, above), (above, "1"), ("0", below))
    ]
    assert results == [True, False, False]


async def _mean_within(rows: list[dict[str, Any]], low: str, high: str) -> bool:
    check = Aggregate(
        measure=Measure.MEAN,
        column=Column(name="n", type="INT64"),
        range=Range(min_value=low, max_value=high),
    )
    statistics = await MemoryTableStatistics({"t": rows}).read("t", [check])
    return aggregate(check, statistics.values["v0"], int(str(statistics.values["n0"])))[0]


@pytest.mark.parametrize(
    ("measure", "success", "text"),
    [("sum", True, "0"), ("mean", False, None), ("min", False, None), ("max", False, None)],
)
@pytest.mark.parametrize("rows", [[], [{"cost": None}] * 3], ids=["no rows", "nulls"])
async def test_of_aggregates_of_nothing_only_a_sum_is_known(
    rows: list[dict[str, Any]], measure: str, success: bool, text: str | None
) -> None:
    type_ = f"column_{measure}_to_be_between"
    (result,) = await observed(rows, expect(type_, column="cost", min_value=0, max_value=0))
    assert (result.success, result.observed_value) == (success, text)
    assert (result.element_count, result.missing_count) == (len(rows), len(rows))


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1.500", "1.5"), ("100", "100"), ("0E-18", "0"), ("1E+3", "1000"), ("-0.10", "-0.1")],
)
def test_numbers_are_shown_plainly(amount: str, text: str) -> None:
    assert plain(Decimal(amount)) == text

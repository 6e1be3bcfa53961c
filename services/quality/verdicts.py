"""From counts to a verdict, by the rules of Great Expectations 1.24.1 on pandas."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

from libs.common.errors import InvalidRequest
from services.quality.checks import (
    Aggregate,
    ColumnsMatch,
    ColumnThere,
    Duplicates,
    Measure,
    Predicate,
    Range,
    RowCheck,
    RowCount,
    TableCheck,
)
from services.quality.expectations import Expectation
from services.quality.statistics import Statistics
from services.quality.suites import Suite
from services.quality.values import EXACT, ordered

DIGITS = 200
"""More than a bound has, multiplied by a count of rows: nothing that is compared is rounded."""

SHOWN_DIGITS = 40


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What workers counted for one row rule."""

    element_count: int = 0
    missing_count: int = 0
    unexpected_count: int = 0
    samples: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one expectation says; counts are of rows."""

    expectation: Expectation
    column: str
    success: bool
    element_count: int = 0
    missing_count: int = 0
    unexpected_count: int | None = None
    observed_value: str | None = None
    samples: tuple[str, ...] = ()


def table_checks(suite: Suite) -> tuple[TableCheck, ...]:
    """Return the checks that need the table, in the suite's order."""
    return tuple(
        e.check
        for e in suite.expectations
        if isinstance(e.check, Duplicates | RowCount | Aggregate)
    )


def check_counts(suite: Suite, counts: Mapping[str, Counts]) -> None:
    """Raise InvalidRequest unless the workers counted exactly the suite's row rules, or nothing.

    A rule whose counts got lost would else succeed as one that saw no rows.
    """
    rules = [e.rule_id for e in suite.expectations if isinstance(e.check, RowCheck)]
    if counts and set(counts) != set(rules):
        found, allowed = ", ".join(sorted(counts)), ", ".join(sorted(rules)) or "none"
        raise InvalidRequest({"row_metrics": f"found rules {found}; allowed are {allowed}"})


def judge(suite: Suite, counts: Mapping[str, Counts], statistics: Statistics) -> tuple[Result, ...]:
    """Return what every expectation says, in the suite's order.

    Args:
        suite: The compiled suite.
        counts: By rule id, as `check_counts` allows them; without any no rows were read.
        statistics: For `table_checks(suite)`, in that order.
    """
    results = []
    asked = 0
    for expectation in suite.expectations:
        check = expectation.check
        if isinstance(check, RowCheck):
            results.append(_rows(expectation, check, counts.get(expectation.rule_id, Counts())))
        elif isinstance(check, ColumnThere | ColumnsMatch):
            results.append(_metadata(expectation, check))
        else:
            results.append(_table(expectation, check, statistics, asked))
            asked += 1
    return tuple(results)


def succeeded(results: Sequence[Result]) -> bool:
    """Return the verdict: every expectation of severity critical or warning is fulfilled."""
    return all(result.success or result.expectation.severity == "info" for result in results)


def mostly_holds(evaluated: int, unexpected: int, mostly: float) -> bool:
    """Return whether enough of the evaluated rows are as expected; no rows are enough."""
    return evaluated == 0 or (evaluated - unexpected) / evaluated >= mostly


def _rows(expectation: Expectation, check: RowCheck, counts: Counts) -> Result:
    about_nulls = check.predicate in {Predicate.NOT_BE_NULL, Predicate.BE_NULL}
    evaluated = counts.element_count - (0 if about_nulls else counts.missing_count)
    return Result(
        expectation=expectation,
        column=",".join(check.columns),
        success=mostly_holds(evaluated, counts.unexpected_count, check.mostly),
        element_count=counts.element_count,
        missing_count=counts.missing_count,
        unexpected_count=counts.unexpected_count,
        samples=counts.samples,
    )


def _metadata(expectation: Expectation, check: ColumnThere | ColumnsMatch) -> Result:
    column = check.column if isinstance(check, ColumnThere) else ""
    observed = ", ".join(check.observed) if isinstance(check, ColumnsMatch) else None
    return Result(
        expectation=expectation, column=column, success=check.success, observed_value=observed
    )


def _table(expectation: Expectation, check: TableCheck, statistics: Statistics, i: int) -> Result:
    rows = statistics.row_count
    if isinstance(check, RowCount):
        return Result(
            expectation=expectation,
            column="",
            success=inside(Decimal(rows), check.range, "INT64"),
            element_count=rows,
            observed_value=str(rows),
        )
    if isinstance(check, Duplicates):
        unexpected = int(str(statistics.values[f"u{i}"]))
        left_out = int(str(statistics.values[f"x{i}"] or 0))
        return Result(
            expectation=expectation,
            column=",".join(column.name for column in check.columns),
            success=mostly_holds(rows - left_out, unexpected, check.mostly),
            element_count=rows,
            missing_count=left_out,
            unexpected_count=unexpected,
        )
    value, present = statistics.values[f"v{i}"], int(str(statistics.values[f"n{i}"]))
    success, observed = aggregate(check, value, present)
    return Result(
        expectation=expectation,
        column=check.column.name,
        success=success,
        element_count=rows,
        missing_count=rows - present,
        observed_value=observed,
    )


def aggregate(check: Aggregate, value: object, present: int) -> tuple[bool, str | None]:
    """Return whether an aggregate lies in its range, and its text.

    A sum of nothing is 0; a mean, minimum or maximum of nothing is unknown and fails.
    """
    if value is None and check.measure is Measure.SUM:
        value = 0
    if value is None:
        return False, None
    type_ = check.column.type
    if type_ in EXACT:
        return _exact(check, Decimal(str(value)), present)
    if isinstance(value, dt.date | dt.time):
        text = value.isoformat()
        return inside(ordered(text, type_), check.range, type_), text
    number = float(str(value)) / (present if check.measure is Measure.MEAN else 1)
    return inside(number, check.range, type_), repr(number)


def _exact(check: Aggregate, amount: Decimal, present: int) -> tuple[bool, str]:
    """Judge an exact number. The ends of a mean's range are multiplied, the sum is not divided."""
    with localcontext() as context:
        context.prec = DIGITS
        if check.measure is not Measure.MEAN:
            return inside(amount, check.range, "BIGNUMERIC"), plain(amount)
        scaled = dataclasses.replace(
            check.range,
            min_value=_times(check.range.min_value, present),
            max_value=_times(check.range.max_value, present),
        )
        success = inside(amount, scaled, "BIGNUMERIC")
        context.prec = SHOWN_DIGITS
        return success, plain(amount / present)


def _times(text: str | None, count: int) -> str | None:
    return None if text is None else f"{Decimal(text) * count:f}"


def plain(amount: Decimal) -> str:
    """Return a number without exponent and without zeros at the end."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def inside(value: Any, range_: Range, type_: str) -> bool:
    """Return whether a value of a type lies in a range of that type."""
    low = None if range_.min_value is None else ordered(range_.min_value, type_)
    high = None if range_.max_value is None else ordered(range_.max_value, type_)
    above = low is None or (value > low if range_.strict_min else value >= low)
    below = high is None or (value < high if range_.strict_max else value <= high)
    return above and below

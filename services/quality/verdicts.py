"""From counts to a verdict, by the rules of Great Expectations 1.24.1 on pandas."""

import dataclasses
import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

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
from services.quality.values import NUMBERS

DIGITS = 60


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


def judge(suite: Suite, counts: Mapping[str, Counts], statistics: Statistics) -> tuple[Result, ...]:
    """Return what every expectation says, in the suite's order.

    Args:
        suite: The compiled suite.
        counts: By rule id; a rule that no worker evaluated saw no rows.
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
            success=inside(Decimal(rows), check.range),
            element_count=rows,
            observed_value=str(rows),
        )
    if isinstance(check, Duplicates):
        unexpected = int(str(statistics.values[f"u{i}"]))
        left_out = int(str(statistics.values[f"x{i}"] or 0))
        return Result(
            expectation=expectation,
            column=",".join(check.columns),
            success=mostly_holds(rows - left_out, unexpected, check.mostly),
            element_count=rows,
            missing_count=left_out,
            unexpected_count=unexpected,
        )
    value, present = statistics.values[f"v{i}"], int(str(statistics.values[f"n{i}"]))
    success, observed = aggregate(check, value, present)
    return Result(
        expectation=expectation,
        column=check.column,
        success=success,
        element_count=rows,
        missing_count=rows - present,
        observed_value=observed,
    )


def aggregate(check: Aggregate, value: object, present: int) -> tuple[bool, str | None]:
    """Return whether an aggregate lies in its range, and its text.

    A sum of nothing is 0; a mean, minimum or maximum of nothing is unknown and fails.
    """
    if check.measure is Measure.SUM and value is None:
        value = 0
    if value is None or (present == 0 and check.measure is not Measure.SUM):
        return False, None
    if check.type not in NUMBERS:
        return _ordered(value, check), _shown(value)
    amount = Decimal(str(value))
    if check.measure is not Measure.MEAN:
        return inside(amount, check.range), f"{amount:f}"
    with localcontext() as context:
        context.prec = DIGITS
        mean = amount / present
        return inside(amount, check.range, times=present), f"{mean.normalize():f}"


def inside(amount: Decimal, range_: Range, *, times: int = 1) -> bool:
    """Return whether `amount` lies in the range, its ends multiplied by `times`."""
    with localcontext() as context:
        context.prec = DIGITS
        low = None if range_.min_value is None else Decimal(range_.min_value) * times
        high = None if range_.max_value is None else Decimal(range_.max_value) * times
        return _between(amount, low, high, range_)


def _ordered(value: object, check: Aggregate) -> bool:
    read = {
        "DATE": dt.date.fromisoformat,
        "DATETIME": dt.datetime.fromisoformat,
        "TIMESTAMP": _moment,
        "TIME": dt.time.fromisoformat,
    }.get(check.type, str)
    range_ = check.range
    low = None if range_.min_value is None else read(range_.min_value)
    high = None if range_.max_value is None else read(range_.max_value)
    return _between(value, low, high, range_)


def _moment(text: str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _between(value: Any, low: Any, high: Any, range_: Range) -> bool:
    above = low is None or (value > low if range_.strict_min else value >= low)
    below = high is None or (value < high if range_.strict_max else value <= high)
    return above and below


def _shown(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)

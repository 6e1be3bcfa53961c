"""From two dates to the windows of a backfill."""

import dataclasses
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from libs.common.errors import FailedPrecondition, InvalidRequest
from services.orchestrator.runs.windows import (
    Window,
    WindowInFuture,
    latest_day,
    month,
    whole_days,
)
from services.orchestrator.specs import PipelineSpec, WindowSpec

MOST_WINDOWS: Final = 1_100
"""Three years of days."""

TICK: Final = timedelta(microseconds=1)


class BackfillNotPossible(FailedPrecondition):
    """A pipeline without windows has nothing to fill."""

    reason = "BACKFILL_NOT_POSSIBLE"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Days [start, end) in the zone of a pipeline's window."""

    start: date
    end: date


def windows_of(spec: PipelineSpec, asked: Range, *, name: str, now: datetime) -> tuple[date, ...]:
    """Return the first days of the windows of a range, oldest first.

    Args:
        spec: The pipeline.
        asked: The range.
        name: The pipeline, as the caller named it.
        now: The present, UTC.

    Raises:
        BackfillNotPossible: the pipeline has no window.
        InvalidRequest: the range is empty, too long, or not of whole months where it must be.
        WindowInFuture: a run started now would be about a window of it, or about none so late.
    """
    window = spec.window
    if window is None:
        raise BackfillNotPossible(
            f"pipeline {spec.pipeline} has no window, so there is no range of windows to fill; start "
            "a run, which reads what was delivered and not published yet (`reload` with append: "
            "also what was)",
            name=name,
        )
    _check_months(window, asked)
    if asked.end <= asked.start:
        why = f"found {asked.end}; allowed is a day after start_date {asked.start}"
        raise InvalidRequest({"end_date": why})
    _check_past(window, asked, now)
    if (count := _count(window, asked)) > MOST_WINDOWS:
        why = (
            f"found {asked.start} to {asked.end}, {count} windows; allowed are {MOST_WINDOWS}: "
            f"end it at {_later(window, asked.start, MOST_WINDOWS)} and fill the rest by another"
        )
        raise InvalidRequest({"end_date": why})
    days = tuple(_later(window, asked.start, n) for n in range(count))
    try:
        window_for(spec, days[0])
    except OverflowError as error:
        why = f"found {asked.start}; in {window.timezone} it begins before the year 1"
        raise InvalidRequest({"start_date": why}) from error
    return days


def window_for(spec: PipelineSpec, day: date) -> Window:
    """Return the window that begins with `day`, without lookback."""
    assert spec.window is not None
    return whole_days(spec.window, day, _later(spec.window, day, 1))


def days_of(spec: PipelineSpec, start: datetime, end: datetime) -> set[date]:
    """Return the days, in the zone of the pipeline's window, of moments [start, end)."""
    assert spec.window is not None
    zone = ZoneInfo(spec.window.timezone)
    first, last = start.astimezone(zone).date(), (end - TICK).astimezone(zone).date()
    return {first + timedelta(days=n) for n in range((last - first).days + 1)}


def _check_months(window: WindowSpec, asked: Range) -> None:
    if window.grain != "month":
        return
    wrong = {
        field: f"found {day}; windows are months, so allowed are {day.replace(day=1)} and "
        f"{_after(day)}"
        for field, day in (("start_date", asked.start), ("end_date", asked.end))
        if day.day != 1
    }
    if wrong:
        raise InvalidRequest(wrong)


def _check_past(window: WindowSpec, asked: Range, now: datetime) -> None:
    allowed = latest_day(window, now)
    if asked.end > allowed:
        text = (
            f"found {asked.end}; allowed is {allowed} or earlier: the {window.grain} that begins then in "
            f"{window.timezone} is what a run started now is about (today minus a lag of {window.lag_days} d)"
        )
        raise WindowInFuture(
            {"end_date": text}, windowTime=asked.end.isoformat(), latest=allowed.isoformat()
        )


def _count(window: WindowSpec, asked: Range) -> int:
    if window.grain == "day":
        return (asked.end - asked.start).days
    return (asked.end.year - asked.start.year) * 12 + asked.end.month - asked.start.month


def _later(window: WindowSpec, day: date, count: int) -> date:
    return month(day, count) if window.grain == "month" else day + timedelta(days=count)


def _after(day: date) -> str:
    try:
        return month(day.replace(day=1), 1).isoformat()
    except ValueError:
        return "none after it"

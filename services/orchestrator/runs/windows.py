"""From a moment to the window of a run and the literal values of its scope."""

import dataclasses
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from libs.common.errors import InvalidRequest
from services.orchestrator.runs.records import Scope
from services.orchestrator.specs import PipelineSpec, WindowSpec


class WindowInFuture(InvalidRequest):
    """The window asked for has not begun."""

    reason = "WINDOW_IN_FUTURE"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Moments [start, end) in UTC."""

    start: datetime
    end: datetime


def window_of(spec: PipelineSpec, moment: datetime | None, *, now: datetime) -> Window | None:
    """Return the window of a run, lookback included; None for pipelines without one.

    Args:
        spec: The pipeline.
        moment: Any moment of the day (or month) D that the run is for; None means that of `now` - lag.
        now: The present, UTC.

    Raises:
        InvalidRequest: a moment for a pipeline without a window.
        WindowInFuture: D has not begun.
    """
    if spec.window is None:
        if moment is not None:
            why = f"pipeline {spec.pipeline} has no window; leave window_time unset"
            raise InvalidRequest({"window_time": why})
        return None
    try:
        return _until(spec.window, moment, now)
    except (OverflowError, ValueError) as error:
        why = f"found {moment}; with its zone and lookback it leaves the years 1 to 9999"
        raise InvalidRequest({"window_time": why}) from error


def _until(window: WindowSpec, moment: datetime | None, now: datetime) -> Window:
    latest = latest_day(window, now)
    day = latest if moment is None else moment.astimezone(ZoneInfo(window.timezone)).date()
    if window.grain == "month":
        day = day.replace(day=1)
    if day > latest:
        text = (
            f"found the {window.grain} {_shown(window, day)} in {window.timezone}; allowed is "
            f"{_shown(window, latest)} or earlier (today minus a lag of {window.lag_days} d); "
            f"ask for an earlier {window.grain}"
        )
        raise WindowInFuture(
            {"window_time": text}, windowTime=day.isoformat(), latest=latest.isoformat()
        )
    if window.grain == "month":
        first, after = month(day, 1 - window.lookback_months), month(day, 1)
    else:
        first, after = day - timedelta(days=window.lookback_days - 1), day + timedelta(days=1)
    return whole_days(window, first, after)


def latest_day(window: WindowSpec, now: datetime) -> date:
    """Return the first day of the newest window that has begun, `lag` considered."""
    day = (now.astimezone(ZoneInfo(window.timezone)) - timedelta(days=window.lag_days)).date()
    return day.replace(day=1) if window.grain == "month" else day


def whole_days(window: WindowSpec, first: date, after: date) -> Window:
    """Return the days [first, after) in the window's zone."""
    zone = ZoneInfo(window.timezone)
    return Window(
        start=datetime.combine(first, time.min, zone).astimezone(UTC),
        end=datetime.combine(after, time.min, zone).astimezone(UTC),
    )


def own_part(spec: PipelineSpec, window: Window) -> Window:
    """Return the day (or month) that a run is for: its window without the lookback."""
    assert spec.window is not None
    zone = ZoneInfo(spec.window.timezone)
    last = (window.end - timedelta(microseconds=1)).astimezone(zone).date()
    first = last.replace(day=1) if spec.window.grain == "month" else last
    return Window(start=datetime.combine(first, time.min, zone).astimezone(UTC), end=window.end)


def _shown(window: WindowSpec, day: date) -> str:
    return f"{day:%Y-%m}" if window.grain == "month" else day.isoformat()


def month(first: date, later: int) -> date:
    """Return the first day of the month that is `later` months after that of `first`."""
    years, month = divmod(first.month - 1 + later, 12)
    return date(first.year + years, month + 1, 1)


def scope_of(spec: PipelineSpec, window: Window | None) -> Scope:
    """Return the scope that a window fixes: its days, or the first days of its months.

    Empty where inputs fix it instead. A TIMESTAMP is written as midnight UTC.
    """
    if window is None or spec.window is None or spec.write.mode != "replace":
        return ()
    zone = ZoneInfo(spec.window.timezone)
    first = window.start.astimezone(zone).date()
    last = (window.end - timedelta(microseconds=1)).astimezone(zone).date()
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if spec.window.grain == "month":
        days = [day for day in days if day.day == 1]
    types = {column.name: column.type for column in spec.columns}
    midnight = " 00:00:00" if types.get(spec.write.scope[0]) == "TIMESTAMP" else ""
    return spec.scope_over(tuple(f"{day.isoformat()}{midnight}" for day in days))

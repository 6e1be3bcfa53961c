"""From a moment to the window of a run and the literal values of its scope."""

import dataclasses
from datetime import UTC, datetime, time, timedelta
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
        moment: Any moment of the day D that the run is for; None means the day of `now` - lag.
        now: The present, UTC.

    Raises:
        InvalidRequest: a moment for a pipeline without a window.
        WindowInFuture: day D has not begun.
    """
    if spec.window is None:
        if moment is not None:
            why = f"pipeline {spec.pipeline} has no window; leave window_time unset"
            raise InvalidRequest({"window_time": why})
        return None
    return _day(spec.window, moment, now)


def _day(window: WindowSpec, moment: datetime | None, now: datetime) -> Window:
    try:
        return _days_until(window, moment, now)
    except OverflowError as error:
        why = f"found {moment}; with its zone and lookback it leaves the years 1 to 9999"
        raise InvalidRequest({"window_time": why}) from error


def _days_until(window: WindowSpec, moment: datetime | None, now: datetime) -> Window:
    zone = ZoneInfo(window.timezone)
    latest = (now.astimezone(zone) - timedelta(days=window.lag_days)).date()
    day = latest if moment is None else moment.astimezone(zone).date()
    if day > latest:
        text = (
            f"found the day {day} in {window.timezone}; allowed is {latest} or earlier "
            f"(today minus a lag of {window.lag_days} d); ask for an earlier day"
        )
        raise WindowInFuture(
            {"window_time": text}, windowTime=day.isoformat(), latest=latest.isoformat()
        )
    first = day - timedelta(days=window.lookback_days - 1)
    return Window(
        start=datetime.combine(first, time.min, zone).astimezone(UTC),
        end=datetime.combine(day + timedelta(days=1), time.min, zone).astimezone(UTC),
    )


def scope_of(spec: PipelineSpec, window: Window | None) -> Scope:
    """Return the scope that a window fixes: its days; empty where inputs fix it instead."""
    if window is None or spec.window is None or spec.write.mode != "replace":
        return ()
    zone = ZoneInfo(spec.window.timezone)
    first = window.start.astimezone(zone).date()
    last = (window.end - timedelta(microseconds=1)).astimezone(zone).date()
    days = tuple((first + timedelta(days=n)).isoformat() for n in range((last - first).days + 1))
    return ((spec.write.scope[0], days),)

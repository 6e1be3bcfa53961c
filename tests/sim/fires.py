"""Schedules as a page of plain code: which fires are due, and what may become of each."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from services.orchestrator.runs import records as r
from services.orchestrator.schedules.records import (
    Decision,
    FiresDecided,
    ScheduleDetail,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSet,
)
from services.orchestrator.specs import PipelineSpec, ScheduleSpec

DAY: Final = timedelta(days=1)

SINGLE: Final = {
    "allow_all": {("start", "")},
    "skip": {("start", ""), ("skip", "overlap"), ("buffer", "order")},
    "buffer_one": {("start", ""), ("skip", "overlap"), ("buffer", "overlap"), ("buffer", "order")},
    "buffer_all": {("start", ""), ("buffer", "overlap"), ("buffer", "order")},
    "cancel_other": {
        ("start", ""), ("buffer", "overlap"), ("buffer", "order"), ("skip", "overtaken")
    },
}  # fmt: skip
"""What each policy may make of one fire, with the cause. Rows are missed, or stand for one window."""


class Wrong(Exception):
    """A schedule or a backfill did what it may not."""

    promise = "fires-once"


def fires(cron: str, after: datetime, until: datetime) -> list[datetime]:
    """Return the fires in (after, until] of a line of minutes and hours, each `*` or numbers."""
    minutes, hours = (
        _numbers(field, most) for field, most in zip(cron.split(), (60, 24), strict=False)
    )
    day, found = after.replace(hour=0, minute=0, second=0, microsecond=0), []
    while day <= until:
        found += [day + timedelta(hours=h, minutes=m) for h in hours for m in minutes]
        day += DAY
    return [fire for fire in found if after < fire <= until]


def _numbers(field: str, most: int) -> list[int]:
    return list(range(most)) if field == "*" else sorted(map(int, field.split(",")))


@dataclasses.dataclass(slots=True)
class Line:
    """One schedule as the journal tells it."""

    said: ScheduleSpec
    cursor: datetime
    paused: bool = False
    waiting: list[datetime] = dataclasses.field(default_factory=list)
    starts: dict[str, datetime] = dataclasses.field(default_factory=dict)
    """Fires that were decided to start and have no run yet, by the run's id."""
    decided: int = 0
    epochs: dict[str, int] = dataclasses.field(default_factory=dict)
    """Who decided on each of `starts`."""


@dataclasses.dataclass(slots=True)
class Fires:
    """All schedules."""

    lines: dict[str, Line] = dataclasses.field(default_factory=dict)

    def follow(self, record: r.Record, detail: ScheduleDetail, live: Sequence[str]) -> None:
        """Follow a record about a schedule; `live`: ids of its pipeline's runs that no backfill has made.

        Raises Wrong.
        """
        match detail:
            case ScheduleSet():
                self._set(record, detail)
            case ScheduleRemoved():
                raise Wrong("nobody removed it")
            case SchedulePaused():
                self.lines[detail.pipeline].paused = True
            case ScheduleResumed():
                self.lines[detail.pipeline].paused = False
            case FiresDecided():
                line = self.lines[detail.pipeline]
                _decide(line, record.time, detail, live)
                line.epochs |= {run: record.epoch for run in line.starts if run not in line.epochs}

    def _set(self, record: r.Record, detail: ScheduleSet) -> None:
        line = self.lines.get(detail.pipeline)
        begin = detail.begin_time
        if line is None:
            self.lines[detail.pipeline] = Line(detail.schedule, begin or record.time)
            return
        line.said = detail.schedule
        line.cursor = max(line.cursor, begin) if begin else line.cursor

    def create(self, pipeline: str, run: str, detail: r.RunCreated, spec: PipelineSpec) -> int:
        """Follow the creation of a run of a fire; return the epoch that decided on it. Raises Wrong."""
        line, fire = self.lines[pipeline], detail.fire_time
        _must(
            fire is not None and line.starts.pop(run, None) == fire,
            f"{run} was not decided to start",
        )
        assert fire is not None
        assert spec.window is not None
        end = fire.replace(hour=0, minute=0) + DAY
        window = end - spec.window.lookback_days * DAY, end
        _must(
            (detail.window_start, detail.window_end) == window, f"{run} is not about its fire's day"
        )
        return line.epochs[run]

    def settled(self, pipeline: str, until: datetime) -> bool:
        """Return whether all fires up to a moment are decided, wait no more, and have their runs."""
        line = self.lines[pipeline]
        waiting = [fire for fire in (*line.waiting, *line.starts.values()) if fire <= until]
        return not (waiting or fires(line.said.cron, line.cursor, until))


def _decide(line: Line, time: datetime, detail: FiresDecided, live: Sequence[str]) -> None:
    due = fires(line.said.cron, line.cursor, detail.until)
    oldest = time - timedelta(seconds=line.said.catch_up_seconds)
    left, started = set(due), 0
    _must(
        detail.until <= max(time, line.cursor), f"fires up to {detail.until} are decided at {time}"
    )
    _must(not line.paused, "it is paused")
    rows = 0
    for one in detail.decisions:
        if one.fire_count > 1:
            _row(one, due, oldest)
            rows += one.fire_count
            continue
        new = one.fire_time in left
        _must(new or one.fire_time in line.waiting, f"{one} is of no fire that is open")
        if new and one.cause in {"too_old", "same_window"}:
            _must(one.verdict == ("miss" if one.cause == "too_old" else "skip"), f"{one}")
            _must((one.fire_time < oldest) == (one.cause == "too_old"), f"{one} at {time}")
            left.discard(one.fire_time)
            continue
        _single(line, one, oldest if new else None, live, started)
        left.discard(one.fire_time)
        started += one.verdict == "start"
    _must(len(left) == rows, f"of {due} these are not decided once: {left}, {rows} in rows")
    line.cursor = max(line.cursor, detail.until)
    line.decided += len(due)


def _single(
    line: Line, one: Decision, oldest: datetime | None, live: Sequence[str], started: int
) -> None:
    """Look at what becomes of one fire, which is new where there is an `oldest` one."""
    policy = line.said.overlap
    busy = bool(live or line.starts or started)
    _must((one.verdict, one.cause) in SINGLE[policy], f"{policy} does not allow {one}")
    _must(oldest is None or one.fire_time >= oldest, f"{one} is too old")
    if one.fire_time in line.waiting:
        line.waiting.remove(one.fire_time)
    match one.verdict, one.cause:
        case "start", _:
            _must(policy == "allow_all" or not busy, f"{one} while {live} are live")
            line.starts[one.run] = one.fire_time
        case "skip", "overlap":
            _must(busy or bool(line.waiting), f"{one}, and nothing is live")
            _must(not one.run or one.run in live, f"{one} names no live run of the pipeline")
        case "buffer", cause:
            _must(busy or bool(line.waiting), f"{one}, and nothing is live")
            crowded = policy == "buffer_one" and cause == "overlap" and line.waiting
            _must(not crowded, f"{one} while another fire waits")
            _must(set(one.cancels) <= set(live), f"{one} cancels what is not live")
            line.waiting.append(one.fire_time)


def _row(one: Decision, due: Sequence[datetime], oldest: datetime) -> None:
    last = one.last_fire_time
    _must(one.fire_time in due and last in due, f"{one} begins or ends beside the fires")
    assert last is not None
    between = [fire for fire in due if one.fire_time <= fire <= last]
    match one.verdict, one.cause:
        case "miss", "too_old":
            _must(len(between) == one.fire_count and last < oldest, f"{one} is not of missed fires")
        case "skip", "same_window":
            _must(len(between) >= one.fire_count, f"{one} has more fires than there are")
            _must(one.fire_time >= oldest, f"{one} is too old")
        case _:
            raise Wrong(f"{one} is of several fires")


def _must(so: object, text: str) -> None:
    if not so:
        raise Wrong(text)


def days(created: r.RunCreated) -> tuple[datetime, ...]:
    """Return the days that a run reads, none of a pipeline without windows."""
    start, end = created.window_start, created.window_end
    if start is None or end is None:
        return ()
    return tuple(start + n * DAY for n in range((end - start).days))

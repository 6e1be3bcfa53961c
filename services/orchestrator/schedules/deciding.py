"""What becomes of the fires of a schedule: a function of its state, the time and what is live."""

import dataclasses
from collections.abc import Callable, Hashable
from datetime import datetime, timedelta
from typing import Final

from services.orchestrator.schedules.fires import fires, jitter_of, next_fires
from services.orchestrator.schedules.records import Cause, Decision, FiresDecided
from services.orchestrator.schedules.schedule import Schedule, run_id

MOST_WAITING: Final = 1000
"""Fires of one schedule that `buffer_all` lets wait."""

MOST_MISSED: Final = 5000
"""Missed fires that one look counts; the next goes on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a decision takes into account beside the schedule."""

    live: tuple[str, ...] = ()
    """Ids of live runs of the pipeline, without those of backfills."""
    window: Callable[[datetime], Hashable] = lambda _: None
    """From a nominal time to what a run is about; equal for fires that are about the same."""


def due_time(schedule: Schedule, fire_time: datetime) -> datetime:
    """Return when a nominal time comes due: later by the schedule's jitter."""
    return fire_time + jitter_of(schedule.pipeline, schedule.spec.jitter_seconds)


def due(schedule: Schedule, now: datetime) -> bool:
    """Return whether a fire is due that is not decided: never of a schedule that is paused or gone."""
    if schedule.pause or schedule.gone:
        return False
    spec = schedule.spec
    upcoming = next_fires(spec.cron, spec.timezone, schedule.cursor, 1)
    return any(due_time(schedule, fire) <= now for fire in upcoming)


def ready(schedule: Schedule, around: Around) -> bool:
    """Return whether a fire that waits may start."""
    busy = bool(around.live or schedule.starting)
    return bool(schedule.waiting) and (schedule.spec.overlap == "allow_all" or not busy)


def decide(schedule: Schedule, now: datetime, around: Around) -> FiresDecided | None:
    """Return what is decided at `now`; None if there is nothing to decide.

    Nothing is decided of a schedule that is paused or gone. Of missed fires one look counts
    MOST_MISSED at most: look again until there is nothing to decide.
    """
    if schedule.pause or schedule.gone:
        return None
    horizon = now - jitter_of(schedule.pipeline, schedule.spec.jitter_seconds)
    look = _Look(schedule, around)
    look.release()
    until = look.decide(horizon)
    if not look.decisions:
        return None
    return FiresDecided(pipeline=schedule.pipeline, until=until, decisions=tuple(look.decisions))


class _Look:
    """One look at one schedule: decisions in the order in which they were made."""

    def __init__(self, schedule: Schedule, around: Around) -> None:
        self.schedule = schedule
        self.around = around
        self.decisions: list[Decision] = []
        self.waiting = list(schedule.waiting)
        self.started = 0

    @property
    def _overlap(self) -> str:
        return self.schedule.spec.overlap

    @property
    def _busy(self) -> bool:
        """Whether a run is live, or is about to be."""
        return bool(self.around.live or self.schedule.starting or self.started)

    def release(self) -> None:
        """Start what waits, as far as it may."""
        while self.waiting and (self._overlap == "allow_all" or not self._busy):
            self._start(self.waiting.pop(0).fire_time)

    def decide(self, horizon: datetime) -> datetime:
        """Decide the fires up to `horizon`; return the last one looked at."""
        schedule = self.schedule
        oldest = horizon - timedelta(seconds=schedule.spec.catch_up_seconds)
        missed, due = _Row(), _Due(self.around.window)
        until = schedule.cursor
        for fire in fires(schedule.spec.cron, schedule.spec.timezone, schedule.cursor):
            if fire > horizon or missed.count >= MOST_MISSED:
                break
            until = fire
            if fire < oldest:
                missed.add(fire)
            else:
                due.add(fire)
        if missed.count:
            self.decisions.append(missed.decision("miss", "too_old"))
        if due.covered.count:
            self.decisions.append(due.covered.decision("skip", "same_window"))
        for fire in due.last:
            self._fire(fire, made_up=len(due.last) > 1)
        return until

    def _fire(self, fire: datetime, *, made_up: bool) -> None:
        """Decide one fire that stands for its window."""
        if self._overlap == "allow_all" or not (self._busy or self.waiting):
            self._start(fire)
        elif made_up:
            self._buffer(fire, "order")
        elif self._overlap == "skip" or (self._overlap == "buffer_one" and self.waiting):
            self._skip(fire, "overlap")
        elif self._overlap == "cancel_other":
            self._overtake()
            self._buffer(fire, "overlap", cancels=self.around.live)
        else:
            self._buffer(fire, "overlap")

    def _overtake(self) -> None:
        """Skip what waits for runs to be cancelled: a newer fire takes its place."""
        for one in [one for one in self.waiting if one.cause == "overlap"]:
            self.waiting.remove(one)
            self._skip(one.fire_time, "overtaken")

    def _start(self, fire: datetime) -> None:
        run = run_id(self.schedule.pipeline, fire)
        self.decisions.append(Decision(fire_time=fire, verdict="start", run=run))
        self.started += 1

    def _buffer(self, fire: datetime, cause: Cause, cancels: tuple[str, ...] = ()) -> None:
        if len(self.waiting) >= MOST_WAITING:
            self._skip(fire, "buffer_full")
            return
        decision = Decision(fire_time=fire, verdict="buffer", cause=cause, cancels=cancels)
        self.decisions.append(decision)
        self.waiting.append(decision)

    def _skip(self, fire: datetime, cause: Cause) -> None:
        blocker = self.around.live[0] if cause == "overlap" and self.around.live else ""
        self.decisions.append(Decision(fire_time=fire, verdict="skip", cause=cause, run=blocker))


class _Row:
    """Fires in a row that have the same fate."""

    def __init__(self) -> None:
        self.count = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, fire: datetime) -> None:
        self.first = self.first or fire
        self.last = fire
        self.count += 1

    def decision(self, verdict: str, cause: Cause) -> Decision:
        assert self.first is not None
        last = self.last if self.count > 1 else None
        return Decision.model_validate(
            {
                "fire_time": self.first,
                "last_fire_time": last,
                "fire_count": self.count,
                "verdict": verdict,
                "cause": cause,
            }
        )


class _Due:
    """Fires that are due: the last of each window, and those that it stands for."""

    def __init__(self, window: Callable[[datetime], Hashable]) -> None:
        self._window = window
        self._key: Hashable = None
        self.last: list[datetime] = []
        self.covered = _Row()

    def add(self, fire: datetime) -> None:
        key = self._window(fire)
        if self.last and key == self._key:
            self.covered.add(self.last.pop())
        self.last.append(fire)
        self._key = key

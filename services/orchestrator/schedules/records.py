"""What is journaled about schedules. The rules of `runs/records.py` hold: fields are only added, with defaults."""

from datetime import datetime
from typing import Literal

from services.orchestrator.runs.part import Part
from services.orchestrator.specs import ScheduleSpec

Verdict = Literal["start", "buffer", "skip", "miss", "refuse"]

Cause = Literal[
    "", "overlap", "buffer_full", "overtaken", "same_window", "order", "too_old", "refused"
]
"""Why a fire was not started at once, or at all.

overlap: a run was live; buffer_full: too many wait; overtaken: a newer fire took its place;
same_window: a later fire stands for it; order: missed fires are made up one after another;
too_old: older than `catch_up`; refused: `message`.
"""


class Decision(Part):
    """What becomes of a fire, or of several in a row that have the same fate."""

    fire_time: datetime
    """Nominal, UTC; of several the first."""
    last_fire_time: datetime | None = None
    """Of several the last."""
    fire_count: int = 1
    verdict: Verdict
    cause: Cause = ""
    run: str = ""
    """Id of the run that a start makes; of a skip by overlap, of a live run that was in the way."""
    cancels: tuple[str, ...] = ()
    """Ids of live runs that are cancelled for a fire that waits."""
    message: str = ""

    def refused(self, message: str) -> "Decision":
        """Return what becomes of a fire that was to start, or to wait, and cannot."""
        changes = {"verdict": "refuse", "cause": "refused", "message": message}
        return self.model_copy(update=changes)


class ScheduleSet(Part):
    """A pipeline's file says this from here on."""

    type: Literal["schedule.set"] = "schedule.set"
    pipeline: str
    schedule: ScheduleSpec
    begin_time: datetime | None = None
    """From when on the line's fires count; None leaves it as it was: only their treatment changed."""


class ScheduleRemoved(Part):
    """The pipeline, or its schedule, is gone; a pause outlives it."""

    type: Literal["schedule.removed"] = "schedule.removed"
    pipeline: str


class SchedulePaused(Part):
    """Nothing is decided until it is resumed."""

    type: Literal["schedule.paused"] = "schedule.paused"
    pipeline: str
    by: str
    reason: str


class ScheduleResumed(Part):
    """It goes on; what was due meanwhile is made up within `catch_up`."""

    type: Literal["schedule.resumed"] = "schedule.resumed"
    pipeline: str
    by: str


class FiresDecided(Part):
    """All fires up to `until` are decided, and maybe some that waited. Written before the effect."""

    type: Literal["schedule.decided"] = "schedule.decided"
    pipeline: str
    until: datetime
    """Nominal time of the last fire that was looked at."""
    decisions: tuple[Decision, ...]


ScheduleDetail = ScheduleSet | ScheduleRemoved | SchedulePaused | ScheduleResumed | FiresDecided

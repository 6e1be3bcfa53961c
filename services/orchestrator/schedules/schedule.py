"""One schedule as the journal tells it, and the fold that makes it. Plain data, so it can be kept as JSON."""

import hashlib
from datetime import datetime
from typing import Final
from uuid import UUID, uuid5

from services.orchestrator.runs.part import Part
from services.orchestrator.schedules.records import (
    Decision,
    FiresDecided,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSet,
)
from services.orchestrator.specs import ScheduleSpec

NAMESPACE: Final = UUID("6f1d0c9e-4d0b-5c43-9f0e-3c1f1a7f6a52")

RECENT: Final = 30
"""How many outcomes of fires are kept."""


class Pause(Part):
    """Who paused a schedule, why and when."""

    by: str
    reason: str
    time: datetime


class Outcome(Part):
    """What became of a fire, or of several in a row."""

    decision: Decision
    time: datetime
    """When it was decided."""


class Counts(Part):
    """Fires by what became of them."""

    started: int = 0
    skipped: int = 0
    missed: int = 0
    refused: int = 0


class Schedule(Part):
    """A pipeline's schedule after its newest record."""

    pipeline: str
    spec: ScheduleSpec
    cursor: datetime
    """Fires up to here are decided, and never looked at again."""
    gone: bool = False
    pause: Pause | None = None
    waiting: tuple[Decision, ...] = ()
    """Fires that were buffered, in the order in which they will start."""
    starting: tuple[Decision, ...] = ()
    """Decided starts whose runs are not created yet."""
    recent: tuple[Outcome, ...] = ()
    """The last outcomes, oldest first."""
    counts: Counts = Counts()
    position: int
    """Journal position of its newest record."""


def run_id(pipeline: str, fire_time: datetime) -> str:
    """Return the id of the one run of a fire, e.g. `s20261126t060000_1f2e3d4c`."""
    digest = hashlib.sha256(f"{pipeline} {fire_time.isoformat()}".encode()).hexdigest()
    return f"s{fire_time:%Y%m%dt%H%M%S}_{digest[:8]}"


def request_id(pipeline: str, fire_time: datetime) -> UUID:
    """Return the request id of the one run of a fire."""
    return uuid5(NAMESPACE, f"{pipeline} {fire_time.isoformat()}")


def begin(
    schedule: Schedule | None, time: datetime, position: int, detail: ScheduleSet
) -> Schedule:
    """Return the schedule after its file was read; one that was paused and gone is paused."""
    if schedule is None:
        cursor = detail.begin_time or time
        return Schedule(
            pipeline=detail.pipeline, spec=detail.schedule, cursor=cursor, position=position
        )
    update: dict[str, object] = {"spec": detail.schedule, "gone": False, "position": position}
    if detail.begin_time:
        update["cursor"] = max(detail.begin_time, schedule.cursor)
    return schedule.model_copy(update=update)


def after(
    schedule: Schedule,
    time: datetime,
    position: int,
    detail: ScheduleRemoved | SchedulePaused | ScheduleResumed | FiresDecided,
) -> Schedule:
    """Return the schedule after one record."""
    changes: dict[str, object] = {"position": position}
    match detail:
        case ScheduleRemoved():
            changes |= {"gone": True, "waiting": ()}
        case SchedulePaused():
            changes["pause"] = Pause(by=detail.by, reason=detail.reason, time=time)
        case ScheduleResumed():
            changes["pause"] = None
        case FiresDecided():
            changes["cursor"] = max(schedule.cursor, detail.until)
            schedule = _decided(schedule, time, detail)
    return schedule.model_copy(update=changes)


def created(schedule: Schedule, run: str) -> Schedule:
    """Return the schedule after a run of it was created."""
    left = tuple(one for one in schedule.starting if one.run != run)
    return schedule.model_copy(update={"starting": left})


def _decided(schedule: Schedule, time: datetime, detail: FiresDecided) -> Schedule:
    settled = {one.fire_time for one in detail.decisions if one.verdict != "buffer"}
    kept = [one for one in schedule.waiting if one.fire_time not in settled]
    waiting = [*kept, *(one for one in detail.decisions if one.verdict == "buffer")]
    refused = {one.fire_time for one in detail.decisions if one.verdict == "refuse"}
    starting = [
        *(one for one in schedule.starting if one.fire_time not in refused),
        *(one for one in detail.decisions if one.verdict == "start"),
    ]
    outcomes = [
        Outcome(decision=one, time=time) for one in detail.decisions if one.verdict != "buffer"
    ]
    return schedule.model_copy(
        update={
            "waiting": tuple(waiting),
            "starting": tuple(starting),
            "recent": (*schedule.recent, *outcomes)[-RECENT:],
            "counts": _counted(schedule.counts, detail.decisions),
        }
    )


def _counted(counts: Counts, decisions: tuple[Decision, ...]) -> Counts:
    added = {"start": "started", "skip": "skipped", "miss": "missed", "refuse": "refused"}
    found = counts.model_dump()
    for one in decisions:
        if one.verdict in added:
            found[added[one.verdict]] += one.fire_count
    return Counts.model_validate(found)

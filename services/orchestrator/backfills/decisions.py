"""What follows from a backfill and the runs of its windows: a function of values."""

import dataclasses
from collections.abc import Collection, Mapping
from datetime import date
from typing import Final

from services.orchestrator.backfills.backfill import Backfill, BackfillState
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import CANCELLABLE, LIVE, RunState

FAILED: Final = frozenset({RunState.FAILED, RunState.TRANSFORM_FAILED})
STOPPABLE: Final = CANCELLABLE & LIVE

PLATFORM: Final = "platform"
"""Who paused a backfill, or cancelled a run, that nobody asked to."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What of a window's run counts."""

    state: RunState
    position: int
    """Of the run's newest record: where it failed, if it did."""
    by_platform: bool = False
    """Whether nobody asked to cancel it, and it had not failed: that was counted when it did."""

    @property
    def live(self) -> bool:
        return self.state in LIVE

    @property
    def failing(self) -> bool:
        """Whether it counts against `max_failures`."""
        return self.state in FAILED or (self.state is RunState.CANCELLED and self.by_platform)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do now; nothing of it is done yet."""

    start: tuple[date, ...] = ()
    """Windows to create runs for, in this order."""
    cancel: tuple[date, ...] = ()
    """Windows whose runs are to be cancelled."""
    pause: str = ""
    """Why it pauses by itself; empty if it does not."""
    finish: bool = False
    """Whether nothing of it moves by itself any more."""


NOTHING: Final = Decision()


def window_of(run: Run) -> Window:
    """Return what of a run counts."""
    by_platform = run.cancel is not None and run.cancel.by == PLATFORM and run.failure is None
    return Window(state=run.state, position=run.position, by_platform=by_platform)


def decide(
    backfill: Backfill,
    windows: Mapping[date, Window],
    *,
    room: int,
    busy: Collection[date] = frozenset(),
) -> Decision:
    """Return what a backfill does next.

    Args:
        backfill: The backfill.
        windows: Its windows that have a run, by first day.
        room: How many live runs more its tenant may have of backfills.
        busy: Windows that a live run of the pipeline, not of the backfill, reads a part of.
    """
    if backfill.final:
        return NOTHING
    live = [day for day, window in windows.items() if window.live]
    if backfill.state is BackfillState.CANCELLING:
        cancel = tuple(day for day in live if windows[day].state in STOPPABLE)
        return Decision(cancel=cancel, finish=not live)
    waiting = [day for day in backfill.created.days if day not in windows]
    if not waiting:
        return Decision(finish=not live)
    if backfill.state is BackfillState.PAUSED:
        return NOTHING
    failures = _failures(backfill, windows)
    if failures >= backfill.created.max_failures:
        return Decision(pause=_too_many(failures, backfill.created.max_failures))
    places = max(min(backfill.created.max_parallel - len(live), room), 0)
    return Decision(start=tuple(day for day in waiting if day not in busy)[:places])


def _failures(backfill: Backfill, windows: Mapping[date, Window]) -> int:
    """Return how many windows failed since the backfill was created or resumed."""
    return sum(w.failing and w.position > backfill.forgiven for w in windows.values())


def _too_many(found: int, allowed: int) -> str:
    return (
        f"{found} of its runs failed since it was created or resumed, and max_failures is {allowed}; "
        "mend the cause, retry the failed runs, then resume it"
    )

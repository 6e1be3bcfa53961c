"""Backfills as a page of plain code: which window may be given a run, and when."""

import dataclasses
from collections.abc import Mapping
from datetime import date, timedelta

from services.orchestrator.runs import records as r
from tests.sim.fires import Wrong


class NotFilled(Wrong):
    """A backfill did what it may not."""

    promise = "filled"


@dataclasses.dataclass(slots=True)
class Filling:
    """One backfill as the journal tells it."""

    pipeline: str
    created: r.BackfillCreated
    state: str = "RUNNING"
    runs: dict[date, str] = dataclasses.field(default_factory=dict)
    """Names of its runs by the day that they fill."""

    @property
    def open(self) -> bool:
        return self.state in {"RUNNING", "PAUSED", "CANCELLING"}


@dataclasses.dataclass(slots=True)
class Fillings:
    """All backfills."""

    by_name: dict[str, Filling] = dataclasses.field(default_factory=dict)

    def follow(self, detail: r.BackfillDetail, live: Mapping[str, bool]) -> None:
        """Follow a record about a backfill; `live` says of each run whether it is. Raises NotFilled."""
        if isinstance(detail, r.BackfillCreated):
            self._create(detail)
            return
        one = self.by_name[detail.backfill]
        working = [name for name in one.runs.values() if live[name]]
        match detail:
            case r.BackfillPaused():
                one.state = "PAUSED"
            case r.BackfillResumed():
                one.state = "RUNNING"
            case r.BackfillCancelled():
                one.state = "CANCELLING"
            case r.BackfillFinished():
                cancelled = one.state == "CANCELLING"
                _must(not working, f"it ends while {working} are live")
                _must(
                    cancelled or len(one.runs) == len(one.created.days), "it ends with windows left"
                )
                one.state = "CANCELLED" if cancelled else "FINISHED"

    def _create(self, detail: r.BackfillCreated) -> None:
        pipeline = detail.backfill.rpartition("/backfills/")[0]
        others = [x for x in self.by_name.values() if x.pipeline == pipeline and x.open]
        _must(not others, "another one of the pipeline is open")
        whole = [detail.start + timedelta(days=n) for n in range((detail.end - detail.start).days)]
        _must(detail.days == tuple(whole[::-1] if detail.newest_first else whole), "other windows")
        self.by_name[detail.backfill] = Filling(pipeline, detail)

    def fill(
        self, run: str, detail: r.RunCreated, live: Mapping[str, bool], beside: set[date]
    ) -> None:
        """Follow the creation of a window's run; `beside` is what live runs of others read. Raises NotFilled."""
        assert detail.of_backfill is not None
        one, day = self.by_name[detail.of_backfill.backfill], detail.of_backfill.day
        _must(one.state == "RUNNING", f"it is {one.state}")
        _must(day in one.created.days and day not in one.runs, f"{day} has a run, or is none of it")
        start, end = detail.window_start, detail.window_end
        assert start is not None
        assert end is not None
        _must(start.date() == day and end - start == timedelta(days=1), f"{run} reads other days")
        _must(detail.spec_hash == one.created.spec_hash, f"{run} has another spec")
        working = [name for name in one.runs.values() if live[name]]
        _must(len(working) < one.created.max_parallel, f"{working} are live already")
        _must(day not in beside, f"another live run reads {day}")
        one.runs[day] = run


def _must(so: object, text: str) -> None:
    if not so:
        raise NotFilled(text)

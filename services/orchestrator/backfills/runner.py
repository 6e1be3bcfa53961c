"""Carries out what follows from backfills, whenever something of them has moved."""

import asyncio
import contextlib
from collections.abc import Iterable
from datetime import date
from typing import Final
from uuid import UUID, uuid5

import structlog

from libs.common.names import BackfillName, RunName
from services.orchestrator.backfills.backfill import Backfill
from services.orchestrator.backfills.decisions import (
    NOTHING,
    PLATFORM,
    STOPPABLE,
    Decision,
    decide,
    window_of,
)
from services.orchestrator.backfills.ranges import days_of, window_for
from services.orchestrator.conductor.answers import digest_of
from services.orchestrator.conductor.commands import Commands
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import JournalUnavailable, RecordTooLarge
from services.orchestrator.runs import records as r
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.run import IllegalMove, Run
from services.orchestrator.runs.states import LIVE
from services.orchestrator.runs.windows import scope_of
from services.orchestrator.specs import PipelineSpec

log = structlog.get_logger()

BY: Final = "backfill"
"""Who created a run of a backfill."""

MOST_RUNS: Final = 20
"""Live runs of backfills that a tenant may have at once."""

IDS: Final = UUID("5ce9d3a4-3b0e-4a0e-9f0e-6f2c1b7a9d10")
"""Where request ids of windows come from."""


class BackfillRunner:
    """Starts, cancels, pauses and ends; knows nothing that the ledger does not say."""

    def __init__(self, history: History, commands: Commands) -> None:
        self._history = history
        self._commands = commands
        self._stoppable: dict[RunName, bool] = {}
        """Of live runs, when they were looked at last: what else they do moves no backfill."""

    async def follow(self) -> None:
        """Look at every backfill that is not ended, then at those that something moved, for ever."""
        ledger = self._history.ledger
        async with self._history.watching() as watch:
            seen, tenants = 0, set[str]()
            while True:
                due = [
                    backfill.name
                    for backfill in ledger.backfills.open()
                    if backfill.name.tenant in tenants or backfill.position > seen
                ]
                seen = ledger.position
                for name in due:
                    await self._turn(name)
                await watch.changed.wait()
                tenants = {run.tenant for run in watch.take() if self._moved(run)}

    def _moved(self, name: RunName) -> bool:
        """Return whether a run began, ended, or can or cannot be cancelled any more."""
        state = self._history.ledger.runs[name].state
        if state not in LIVE:
            self._stoppable.pop(name, None)
            return True
        before = self._stoppable.get(name)
        self._stoppable[name] = state in STOPPABLE
        return before is not self._stoppable[name]

    async def _turn(self, name: BackfillName) -> None:
        """Do what follows now, until nothing does."""
        while (decision := self._decision(name)) != NOTHING:
            backfill = self._history.ledger.backfills.by_name[name]
            if decision.pause:
                self._pause(backfill, decision.pause)
            elif decision.finish:
                self._history.decide(None, r.BackfillFinished(backfill=str(name)))
                log.info("backfill.ended", backfill=str(name))
            elif decision.cancel:
                await self._cancel(backfill, decision.cancel)
            else:
                await self._start(backfill, decision.start)

    def _decision(self, name: BackfillName) -> Decision:
        ledger = self._history.ledger
        backfill = ledger.backfills.by_name[name]
        runs = ledger.backfills.runs(name)
        return decide(
            backfill,
            {day: window_of(ledger.runs[run]) for day, run in runs.items()},
            room=MOST_RUNS - ledger.live(name.tenant, of_backfills=True),
            busy=self._busy(backfill),
        )

    def _busy(self, backfill: Backfill) -> set[date]:
        """Return the days that live runs beside the backfill read."""
        busy: set[date] = set()
        for run in self._history.ledger.live_beside(backfill.name.parent):
            start, end = run.created.window_start, run.created.window_end
            if start and end and run.spec.window:
                busy |= days_of(run.spec, start, end)
        return busy

    def _pause(self, backfill: Backfill, reason: str) -> None:
        paused = r.BackfillPaused(backfill=str(backfill.name), by=PLATFORM, reason=reason)
        self._history.decide(None, paused)
        log.warning("backfill.paused", backfill=str(backfill.name), cause=reason)

    async def _cancel(self, backfill: Backfill, days: Iterable[date]) -> None:
        assert backfill.cancelled is not None
        runs = self._history.ledger.backfills.runs(backfill.name)
        by, reason = backfill.cancelled.by, backfill.cancelled.reason
        await asyncio.gather(*(self._cancel_run(runs[day], by, reason) for day in days))

    async def _cancel_run(self, run: RunName, by: str, reason: str) -> None:
        with contextlib.suppress(IllegalMove, JournalUnavailable):
            await self._commands.cancel(run, by=by, reason=reason)

    async def _start(self, backfill: Backfill, days: Iterable[date]) -> None:
        """Create the runs of windows: decided on before anybody else can decide, journaled together."""
        spec = PipelineSpec.model_validate_json(backfill.created.spec)
        begun = []
        try:
            for day in days:
                detail = run_of(backfill, spec, day)
                begun.append(self._commands.decide(backfill.name.parent, detail))
        except RecordTooLarge as error:
            self._pause(backfill, f"a run could not be created: {error}")
        await asyncio.gather(*(self._go(run) for run in begun))

    async def _go(self, run: Run) -> None:
        with contextlib.suppress(JournalUnavailable):
            await self._commands.go(run)


def run_of(backfill: Backfill, spec: PipelineSpec, day: date) -> r.RunCreated:
    """Return the record that creates the run of a window: the same, whoever asks and how often."""
    created = backfill.created
    window = window_for(spec, day)
    facts = {"backfill": created.backfill, "day": day.isoformat()}
    return r.RunCreated(
        spec=created.spec,
        spec_hash=created.spec_hash,
        request_id=str(request_id_of(created.backfill, day)),
        request_digest=digest_of(facts),
        request_facts=facts,
        window_start=window.start,
        window_end=window.end,
        scope=scope_of(spec, window),
        reload=created.reload,
        created_by=BY,
        traceparent=created.traceparent,
        lane=Lane.BACKFILL,
        of_backfill=r.OfBackfill(backfill=created.backfill, day=day),
    )


def request_id_of(backfill: str, day: date) -> UUID:
    """Return the request id of the run of a window."""
    return uuid5(IDS, f"{backfill}/{day.isoformat()}")

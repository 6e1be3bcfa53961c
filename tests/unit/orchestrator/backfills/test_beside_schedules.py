"""A backfill is nobody's fire: a schedule decides the same with it and without."""

import asyncio
from datetime import date
from uuid import UUID

import pytest

from services.orchestrator.backfills.commands import Ask, BackfillCommands
from services.orchestrator.backfills.ranges import Range
from services.orchestrator.backfills.runner import BackfillRunner
from services.orchestrator.runs.states import LIVE
from services.orchestrator.specs import PipelineSpec
from tests.unit.orchestrator.conductor.world import PIPELINE
from tests.unit.orchestrator.schedules.watched import Leading, Watched, at, scheduled

DAYS = Range(start=date(2026, 11, 14), end=date(2026, 11, 20))


async def fill(leading: Leading, spec: PipelineSpec) -> asyncio.Task[None]:
    """Start a backfill of the days that the schedule's runs look back to; all its runs are live."""
    history = leading.history
    runner = asyncio.create_task(BackfillRunner(history, leading.commands).follow())
    commands = BackfillCommands(history, clock=leading.watched.clock, new_id=lambda: "b1")
    ask = Ask(
        pipeline=PIPELINE,
        request_id=UUID(int=1),
        range=DAYS,
        max_parallel=6,
        newest_first=False,
        max_failures=1,
        reload=False,
        reason="",
        created_by="key1",
        traceparent="",
    )
    made = await commands.create(ask, spec)
    async with asyncio.timeout(5):
        while len(history.ledger.backfills.runs(made.name)) < 6:
            await asyncio.sleep(0)
    return runner


async def told(overlap: str, *, filled: bool) -> tuple[list[str], ...]:
    """Let three fires come due and a run of one end; return what the schedule says, and its runs."""
    watched = Watched()
    spec = scheduled("0 * * * *", lookback=7, overlap=overlap)
    watched.put(spec)
    async with watched.orchestrator() as leading:
        runner = await fill(leading, spec) if filled else None
        for hour in (1, 2, 3):
            await leading.on(at(f"20 0{hour}:00"))
        fires = [run for run in leading.runs() if run.created.fire_time]
        await leading.end(fires[0].name)
        await leading.look()
        if runner:
            of_it = [run for run in leading.runs() if run.created.of_backfill]
            assert [run.state in LIVE for run in of_it] == [True] * 6
            runner.cancel()
        return leading.told(), leading.waiting(), leading.fired()


@pytest.mark.parametrize(
    "overlap", ["skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"]
)
async def test_live_runs_of_a_backfill_change_nothing_of_a_schedule(overlap: str) -> None:
    assert await told(overlap, filled=True) == await told(overlap, filled=False)

"""A journal in which nothing happens is kept in use, so that its stream does not end."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import timedelta

from services.orchestrator.journal.history import KEPT_FOR, History
from services.orchestrator.journal.journal import MemoryJournals
from services.orchestrator.runs import records as r
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, Clock, spec


@contextlib.asynccontextmanager
async def keeping(clock: Clock) -> AsyncGenerator[tuple[History, MemoryJournals]]:
    """A history that is written and kept, its first record stored."""
    journals = MemoryJournals()
    ids = iter("abcdefgh")
    history = History(journals.member(), epoch=1, clock=clock, new_id=lambda: next(ids))
    tasks = [
        asyncio.create_task(history.write()),
        asyncio.create_task(history.keep(clock.sleep)),
    ]
    await asyncio.sleep(0)
    await history.settled(1)
    try:
        yield history, journals
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def types(journals: MemoryJournals) -> list[str]:
    return [record.detail.type for record in journals.records]


async def passes(clock: Clock, hours: float) -> None:
    """Let time pass and whoever sleeps wake up."""
    clock.now += timedelta(hours=hours)
    await asyncio.sleep(0.02)


async def test_a_record_is_written_when_nothing_was_for_half_a_day_and_again_after_that() -> None:
    clock = Clock()
    async with keeping(clock) as (_, journals):
        await passes(clock, 11.9)
        assert types(journals) == ["epoch.opened"]
        await passes(clock, 0.1)
        assert types(journals) == ["epoch.opened", "epoch.kept"]
        await passes(clock, 12)
        assert types(journals) == ["epoch.opened", "epoch.kept", "epoch.kept"]
    assert [record.time for record in journals.records] == [
        NOON,
        NOON + KEPT_FOR,
        NOON + 2 * KEPT_FOR,
    ]
    assert {record.run for record in journals.records} == {""}


async def test_any_other_record_is_enough() -> None:
    clock = Clock()
    async with keeping(clock) as (history, journals):
        await passes(clock, 11)
        created = r.RunCreated(
            spec=spec().canonical(), spec_hash="h", request_id="q", request_digest="d"
        )
        await history.record(PIPELINE.run("r1"), created)
        await passes(clock, 11.5)
        assert types(journals) == ["epoch.opened", "run.created"]
        await passes(clock, 0.5)
        assert types(journals) == ["epoch.opened", "run.created", "epoch.kept"]


def test_a_stream_is_kept_long_before_it_ends() -> None:
    assert timedelta(days=3) / KEPT_FOR >= 6

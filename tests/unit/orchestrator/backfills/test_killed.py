"""kill -9 wherever records end, steering meanwhile: each window has one run, and what was answered holds."""

import asyncio
import contextlib
import dataclasses
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from services.orchestrator.backfills.backfill import Backfill, Backfills, BackfillState
from services.orchestrator.journal.journal import MemoryJournal, MemoryJournals
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger
from tests.unit.orchestrator.backfills.daily import DAYS, Filling, daily, daily_world, filling

WINDOWS = DAYS[:5]


class Torn(MemoryJournal):
    """A journal that ends in the middle of an append: what fits is stored, nobody is told."""

    async def append(self, records: Sequence[r.Record]) -> None:
        shared = self.shared
        assert isinstance(shared, TornJournals)
        room = shared.most - len(shared.records)
        await MemoryJournal.append(self, records[: max(room, 0)])
        if room < len(records):
            shared.torn.set()
            await asyncio.get_running_loop().create_future()


@dataclasses.dataclass(slots=True)
class TornJournals(MemoryJournals):
    most: int = 1_000_000
    torn: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def member(self) -> MemoryJournal:
        return Torn(self)


@dataclasses.dataclass(slots=True)
class Story:
    """A backfill over many epochs; `said` is what callers were answered last."""

    random: Random
    journals: TornJournals
    said: Backfill | None = None

    async def tell(self, epoch: Filling) -> None:
        """Create the backfill if nobody was told yet, then steer it some times."""
        if self.said is None:
            self.said = await epoch.create(WINDOWS)
        for _ in range(self.random.randint(0, 2)):
            for _ in range(self.random.randint(0, 60)):
                await asyncio.sleep(0)
            name = self.said.name
            if epoch.backfills.find(name).final:
                return
            if self.random.random() < 0.5:
                self.said = await epoch.backfills.pause(name, by="key1", reason="for a while")
            self.said = await epoch.backfills.resume(name, by="key1")
        await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("seed", range(40))
async def test_each_window_has_one_run_however_often_it_is_killed(seed: int) -> None:
    random = Random(seed)
    journals = TornJournals()
    world = daily_world(WINDOWS)
    world.journals = journals
    story = Story(random, journals)
    done = None
    while done is None:
        journals.most = len(journals.records) + random.randint(2, 30)
        journals.torn.clear()
        async with filling(world) as epoch:
            telling = asyncio.create_task(story.tell(epoch))
            torn = asyncio.create_task(journals.torn.wait())
            async with asyncio.timeout(10):
                while not (torn.done() or done):
                    await asyncio.sleep(0)
                    done = _ended(journals, story, epoch)
            for task in (telling, torn):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await telling
    _check(journals.records)
    assert world.published(daily()) == [(day.isoformat(), "1.5") for day in WINDOWS]


def _ended(journals: TornJournals, story: Story, epoch: Filling) -> Backfill | None:
    """Return the backfill once the journal says that it ended."""
    if story.said is None or not isinstance(journals.records[-1].detail, r.BackfillFinished):
        return None
    assert journals.records[-1].position <= epoch.ledger.position
    return epoch.backfills.find(story.said.name)


def _check(records: Sequence[r.Record]) -> None:
    """Fold what was stored and look at every moment of it."""
    ledger, begun = Ledger(), Counter[object]()
    for record in records:
        detail = record.detail
        if isinstance(detail, r.RunCreated) and detail.of_backfill:
            begun[detail.of_backfill.day] += 1
            (backfill,) = ledger.backfills.by_name.values()
            assert backfill.state is BackfillState.RUNNING
        ledger.add(record)
        assert ledger.live("acme_corp", of_backfills=True) <= 2
    assert begun == dict.fromkeys(WINDOWS, 1)
    assert list(begun) == list(WINDOWS), "oldest first"
    (backfill,) = ledger.backfills.by_name.values()
    assert backfill.state is BackfillState.FINISHED
    named = ledger.backfills.runs(backfill.name)
    assert {ledger.runs[name].state for name in named.values()} == {"SUCCEEDED"}


async def test_a_cancel_that_was_answered_holds_over_a_kill() -> None:
    world = daily_world(WINDOWS)
    world.hang()
    async with filling(world) as first:
        made = await first.create(WINDOWS)
        cancelled = await first.backfills.cancel(made.name, by="key1", reason="wrong range")
        assert cancelled.state is BackfillState.CANCELLING
    async with filling(world) as second:
        done = await second.until(made, BackfillState.CANCELLED)
        assert done.cancelled is not None
        assert done.cancelled.reason == "wrong range"
        assert {run.state for run in second.runs(made).values()} <= {"CANCELLED"}
    assert world.published(daily()) == []


async def test_a_leader_that_was_replaced_starts_no_run() -> None:
    world = daily_world(WINDOWS)
    event = world.hang()
    async with filling(world) as zombie:
        made = await zombie.create(WINDOWS)
        while len(zombie.runs(made)) < 2:
            await asyncio.sleep(0)
        await zombie.orchestrator.conductor.mesh.history.settled(zombie.ledger.position)
        async with filling(world) as leader:
            event.set()
            for worker in world.workers:
                worker.hang = None
            await leader.until(made, BackfillState.FINISHED)
    created = [x for x in world.journals.records if isinstance(x.detail, r.RunCreated)]
    assert len(created) == len(WINDOWS)
    assert len(world.published(daily())) == len(WINDOWS)


async def test_a_snapshot_at_any_record_goes_on_as_the_records_do() -> None:
    world = daily_world(WINDOWS)
    async with filling(world) as one:
        made = await one.create(WINDOWS)
        await one.until(made, BackfillState.FINISHED)
        await one.quiet()
    whole = Ledger()
    for record in world.journals.records:
        whole.add(record)
        restored = Backfills()
        restored.restore(list(whole.backfills.snapshot()))
        assert restored == whole.backfills

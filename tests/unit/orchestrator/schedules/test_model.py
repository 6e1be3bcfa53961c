"""Any story of a schedule against a model in plain Python: all policies, kills anywhere, clocks that jump."""

import asyncio
import dataclasses
import os
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.common.names import RunName
from services.orchestrator.journal.journal import MemoryJournal, MemoryJournals
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.schedules.records import FiresDecided
from tests.unit.orchestrator.conductor.world import PIPELINE
from tests.unit.orchestrator.schedules.watched import HOUR, MIDNIGHT, Leading, Watched, scheduled

POLICIES = ("skip", "buffer_one", "buffer_all", "cancel_other", "allow_all")
EVERY = 4
CATCH_UP = 60
"""Hours between fires, and hours that a fire may be old to be made up."""


@dataclasses.dataclass(slots=True)
class Model:
    """What a schedule should do. It knows no journal, no kills and no cron."""

    policy: str
    now: datetime = MIDNIGHT
    cursor: datetime = MIDNIGHT
    paused: bool = False
    live: list[datetime] = dataclasses.field(default_factory=list)
    waiting: list[tuple[datetime, bool]] = dataclasses.field(default_factory=list)
    """Fires that wait, with whether they wait because of a live run."""
    started: list[datetime] = dataclasses.field(default_factory=list)
    skipped: list[datetime] = dataclasses.field(default_factory=list)
    missed: list[datetime] = dataclasses.field(default_factory=list)

    def look(self) -> None:
        if self.paused:
            return
        while self.waiting and (self.policy == "allow_all" or not self.live):
            self.start(self.waiting.pop(0)[0])
        due: list[datetime] = []
        while (fire := self.cursor + EVERY * HOUR) <= self.now:
            self.cursor = fire
            old = fire < self.now - CATCH_UP * HOUR
            (self.missed if old else due).append(fire)
        last = {fire.date(): fire for fire in due}
        self.skipped += [fire for fire in due if fire not in last.values()]
        for fire in last.values():
            self.fire(fire, alone=len(last) == 1)

    def fire(self, fire: datetime, *, alone: bool) -> None:
        if self.policy == "allow_all" or not (self.live or self.waiting):
            self.start(fire)
        elif not alone:
            self.waiting.append((fire, False))
        elif self.policy == "skip" or (self.policy == "buffer_one" and self.waiting):
            self.skipped.append(fire)
        else:
            if self.policy == "cancel_other":
                self.skipped += [one for one, behind in self.waiting if behind]
                self.waiting = [one for one in self.waiting if not one[1]]
            self.waiting.append((fire, True))

    def start(self, fire: datetime) -> None:
        self.started.append(fire)
        self.live.append(fire)


class Torn(MemoryJournal):
    """A journal that dies within an append: some of its records are stored, and nobody is told."""

    async def append(self, records: Sequence[r.Record]) -> None:
        shared = self.shared
        assert isinstance(shared, TornJournals)
        if shared.left is not None:
            records = records[: shared.left]
            shared.left -= len(records)
        await MemoryJournal.append(self, records)
        if shared.left == 0:
            shared.torn.set()
            await asyncio.get_running_loop().create_future()


@dataclasses.dataclass(slots=True)
class TornJournals(MemoryJournals):
    left: int | None = None
    """How many more records are stored; None for any number."""
    torn: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def member(self) -> MemoryJournal:
        return Torn(self)


HOURS = st.sampled_from((1, 4, 5, 9, 20, 24, 49, 90))
STEPS = st.one_of(
    st.tuples(st.just("pass"), HOURS, st.none()),
    st.tuples(st.just("pass"), HOURS, st.integers(1, 4)),
    st.tuples(st.just("back"), st.sampled_from((1, 7, 30)), st.none()),
    st.tuples(st.sampled_from(("end", "fail")), st.integers(0, 3), st.none()),
    st.tuples(st.sampled_from(("pause", "resume", "down")), st.just(0), st.none()),
)
"""What happens; hours, or which live run; and how many records are stored before a kill."""

Story = list[tuple[str, int, int | None]]


async def tell(policy: str, steps: Story) -> None:
    journals = TornJournals()
    watched = Watched(journals=journals)
    watched.put(scheduled(f"0 */{EVERY} * * *", overlap=policy, catch_up_seconds=CATCH_UP * 3600))
    model = Model(policy)
    left = list(steps)
    while True:
        async with watched.orchestrator() as leading:
            await leading.look()
            model.look()
            compare(leading, model)
            while left:
                step, number, stored = left.pop(0)
                if step == "down":
                    break
                await take(step, number, leading, model)
                journals.left = stored
                if not await looked(leading, journals):
                    break
                journals.left = None
                model.look()
                compare(leading, model)
            else:
                break
        journals.left = None
        journals.torn = asyncio.Event()
    check(journals.records, policy)


async def looked(leading: Leading, journals: TornJournals) -> bool:
    """Look; return False if the orchestrator was killed meanwhile."""
    looking = asyncio.create_task(leading.look())
    torn = asyncio.create_task(journals.torn.wait())
    await asyncio.wait({looking, torn}, return_when=asyncio.FIRST_COMPLETED)
    dead = not looking.done()
    looking.cancel()
    torn.cancel()
    await asyncio.gather(looking, torn, return_exceptions=True)
    return not dead


async def take(step: str, number: int, leading: Leading, model: Model) -> None:
    match step:
        case "pass":
            model.now = leading.watched.now = leading.watched.now + number * HOUR
        case "back":
            model.now = leading.watched.now = leading.watched.now - number * HOUR
        case "end" | "fail" if model.live:
            index = number % len(model.live)
            run = next(one for one in leading.runs() if one.created.fire_time == model.live[index])
            if run.state != "CANCELLING" or step == "end":
                await leading.end(run.name, fails=step == "fail")
                del model.live[index]
        case "pause":
            await leading.scheduler.pause(PIPELINE, by="key1", reason="why")
            model.paused = True
        case "resume":
            await leading.scheduler.resume(PIPELINE, by="key1")
            model.paused = False


def compare(leading: Leading, model: Model) -> None:
    """The journal says what the model says."""
    fates: dict[str, list[datetime]] = {"start": [], "skip": [], "miss": [], "refuse": []}
    for record in leading.watched.journals.records:
        if isinstance(record.detail, FiresDecided):
            for one in record.detail.decisions:
                last = one.last_fire_time or one.fire_time
                if one.verdict != "buffer":
                    fates[one.verdict] += spread(one.fire_time, last, one.fire_count)
    assert [run.created.fire_time for run in leading.runs()] == fates["start"] == model.started
    assert [one.fire_time for one in leading.schedule().waiting] == [f for f, _ in model.waiting]
    assert fates["miss"] == model.missed
    assert leading.schedule().counts.skipped == len(fates["skip"]) == len(model.skipped)
    assert [run.created.fire_time for run in leading.runs() if run.name in leading.live()] == (
        model.live
    )


def spread(first: datetime, last: datetime, fires: int) -> list[datetime]:
    """The fires of a row; those of `same_window` have gaps, of which only the number is known."""
    if first + (fires - 1) * EVERY * HOUR != last:
        return [first] * fires
    return [first + n * EVERY * HOUR for n in range(fires)]


def check(records: list[r.Record], policy: str) -> None:
    """What must hold in every journal: decided before made, once, about its own day, alone unless allowed."""
    ledger, decided = Ledger(), set()
    for record in records:
        detail = record.detail
        if isinstance(detail, FiresDecided):
            decided |= {one.run for one in detail.decisions if one.verdict == "start"}
        if isinstance(detail, r.RunCreated):
            assert detail.fire_time is not None
            name = RunName.parse(record.run)
            assert name.run in decided
            assert name not in ledger.runs
            day = detail.fire_time.replace(hour=0)
            assert (detail.window_start, detail.window_end) == (day, day + timedelta(days=1))
            assert policy == "allow_all" or not ledger.live_beside(PIPELINE)
        ledger.add(record)
    fires = [run.created.fire_time for run in ledger.runs.values()]
    assert len(set(fires)) == len(fires)


@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=int(os.environ.get("STORIES", "25")), deadline=None, print_blob=True)
@given(steps=st.lists(STEPS, min_size=5, max_size=25))
def test_any_story_ends_as_the_model_says(policy: str, steps: Story) -> None:
    asyncio.run(tell(policy, steps))

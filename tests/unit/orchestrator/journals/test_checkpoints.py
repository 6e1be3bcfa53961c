"""A start that begins at a checkpoint knows what a start that reads everything knows."""

import asyncio
import functools
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from structlog.testing import capture_logs

from libs.common.names import RunName
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.checkpoints import EVERY, KEPT_FOR, Checkpoints
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import JournalSealed, MemoryJournals
from services.orchestrator.journal.rows import JournalUnreadable
from services.orchestrator.runs import records as r
from services.orchestrator.runs.checkpoints import (
    needed,
    newest_mark,
    parts_of,
)
from services.orchestrator.runs.ledger import Key, Ledger, key_of
from services.orchestrator.runs.states import FINAL, RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.cutting import CutJournals
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec
from tests.unit.orchestrator.journals.states import loaded, pending, same, whole
from tests.unit.orchestrator.model.story import LookingWorker, Story, Telling, spec_of, stories

A = [Item(scope="a.csv", money=("1.5",))]
LOST = Item(scope="a.csv", money=("9.99",), bad=True)


def checkpoints(o: Orchestrator, *, kept_for: timedelta = KEPT_FOR) -> Checkpoints:
    history = o.conductor.mesh.history
    return Checkpoints(history, written=lambda _: True, kept_for=kept_for)


async def checkpointed(o: Orchestrator, *, kept_for: timedelta = KEPT_FOR) -> None:
    """Let runs leave, and have a checkpoint stored."""
    checkpoints(o, kept_for=kept_for).write()
    history = o.conductor.mesh.history
    await history.settled(history.ledger.position)


class Forgetting(Telling):
    """Forgets after every step whatever may be forgotten, and compares two ways of starting."""

    async def _agree(self, o: Orchestrator) -> None:
        await Telling._agree(self, o)
        history = o.conductor.mesh.history
        checkpoints(o, kept_for=timedelta(seconds=-1)).write()
        expect_gone(history.ledger)
        await history.settled(history.ledger.position)
        await same(self.world.journals.records)


def expect_gone(ledger: Ledger) -> None:
    """Expect that of runs that are final only those stay that published after one that is not."""
    open_since: dict[Key, int] = {}
    for name, position in sorted(ledger.published_at.items(), key=lambda pair: pair[1]):
        if ledger.runs[name].state not in FINAL:
            open_since.setdefault(key_of(ledger.runs[name]), position)
    for run in ledger.runs.values():
        since = open_since.get(key_of(run))
        stays = since is not None and ledger.published_at.get(run.name, 0) > since
        assert stays or run.state not in FINAL, run.name


async def told(story: Story) -> None:
    world = World(journals=CutJournals(short=True))
    world.workers = [LookingWorker(f"w{i}", world.source, world.warehouse) for i in (1, 2)]
    table = world.warehouse.target(spec_of(story.mode, "p_bill", "A"))

    async def seen() -> list[tuple[object, ...]]:
        rows = world.warehouse.tables.get(table, [])
        return [(x.pipeline, x.run, x.source, x.number, x.snapshot, x.money[0]) for x in rows]

    await Forgetting(world, story.mode, seen).tell(story)


@settings(
    max_examples=int(os.environ.get("STORIES", "40")), deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)  # fmt: skip
@given(stories())
def test_every_story_ends_as_the_model_says_when_all_that_ended_is_forgotten(story: Story) -> None:
    asyncio.run(told(story))


async def test_a_start_reads_days_and_holds_open_runs_however_long_the_history_is() -> None:
    made = World.of(a_csv=A)
    made.journals.short = True
    read: list[int] = []
    first = None
    for day in range(12):
        async with made.orchestrator() as o:
            history = o.conductor.mesh.history
            read.append(sum(len(x) for x in history.ledger.history.values()))
            keeping = asyncio.create_task(checkpoints(o).keep(made.clock.sleep))
            made.source.inputs[f"{day}.csv"] = [Item(scope=f"{day}.csv", money=(f"{day}",))]
            run = await o.finish(spec(mode="append"))
            first = first or run
            made.clock.now += EVERY
            await eventually(functools.partial(just_now, history))
            await history.settled(history.ledger.position)
            keeping.cancel()
            assert len(history.ledger.runs) <= 4
    assert max(read) <= 4 * 9
    assert read[-1] == read[5] < len(made.journals.records) / 3
    await same(made.journals.records)
    assert len(made.published(spec(mode="append"))) == 13
    assert first is not None
    async with made.orchestrator() as o:
        assert first.name not in o.conductor.mesh.history.ledger.runs
        assert await o.commands.look(first.name) == whole(made.journals.records).runs[first.name]


def story_of(made: World) -> list[r.Record]:
    return list(made.journals.records)


@pytest.fixture
async def busy() -> World:
    """A world with a held run, a failed transform, finished runs, and two checkpoints."""
    made = World.of(a_csv=[*A, LOST])
    async with made.orchestrator() as o:
        await o.finish()
        await checkpointed(o, kept_for=timedelta(seconds=-1))
    made.source.inputs = {"b.csv": [Item(scope="b.csv", money=("2",))]}
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        await o.finish(spec(transforms=1))
        await o.finish(spec(mode="append"))
        await checkpointed(o, kept_for=timedelta(seconds=-1))
        await o.start(spec(mode="append"), reload=True)
    return made


async def test_a_kill_at_any_record_of_a_checkpoint_leaves_the_one_before_it(busy: World) -> None:
    records = story_of(busy)
    marks = set()
    for end in range(1, len(records) + 1):
        await same(records[:end])
        marks.add(newest_mark(records[:end]))
    first, second = sorted(marks - {0})
    cut = next(
        x.position
        for x in records
        if isinstance(x.detail, r.CheckpointPart) and x.detail.mark == second
    )
    assert newest_mark(records[:cut]) == first


async def test_parts_of_a_leader_that_was_cut_off_hinder_no_other(busy: World) -> None:
    records = story_of(busy)
    last = max(n for n, x in enumerate(records) if isinstance(x.detail, r.CheckpointCompleted))
    made = World(journals=MemoryJournals(records=records[:last], short=True), stream="epoch-2")
    made.epochs, made.ids = itertools.count(3), itertools.count(1000)
    async with made.orchestrator() as o:
        assert o.conductor.mesh.history.ledger.mark == newest_mark(records[:last])
        await checkpointed(o)
    assert newest_mark(made.journals.records) >= records[last - 1].position
    await same(made.journals.records)


async def test_a_leader_that_was_sealed_can_complete_no_checkpoint() -> None:
    made = World.of(a_csv=A)
    async with made.orchestrator() as o:
        await o.finish()
        history = o.conductor.mesh.history
        writing = asyncio.create_task(history.write())
        await made.journals.member().open(Term(epoch=9, predecessor=made.stream))
        checkpoints(o).write()
        with pytest.raises(JournalSealed):
            await writing
    assert newest_mark(made.journals.records) == 0


async def test_a_checkpoint_that_the_journal_cannot_hold_is_left_out_and_said(busy: World) -> None:
    busy.journals.largest_bytes = 40
    async with busy.orchestrator() as o:
        ledger = o.conductor.mesh.history.ledger
        before = ledger.position
        with capture_logs() as logs:
            checkpoints(o).write()
        assert ledger.position == before
    (said,) = (x for x in logs if x["event"] == "checkpoint.refused")
    assert "checkpoint.part" in said["cause"]


@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_a_state_of_any_size_stands_in_parts_that_fit(busy: World, size: int) -> None:
    ledger = whole(story_of(busy))
    parts = list(parts_of(ledger, size))
    items = [item for part in parts for item in part.items]
    longest = max(len(item.encode()) for item in items)
    assert all(sum(len(i.encode()) for i in p.items) <= max(size, longest) for p in parts)
    assert items == [item for part in parts_of(ledger) for item in part.items]


class Words:
    """A fold that remembers why runs were cancelled."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def add(self, record: r.Record) -> None:
        if isinstance(record.detail, r.RunCancelling):
            self.words.append(record.detail.reason)

    def snapshot(self) -> Iterator[str]:
        return map(json.dumps, self.words)

    def restore(self, items: Iterable[str]) -> None:
        self.words = [json.loads(item) for item in items]


async def test_every_fold_is_in_checkpoints_and_taken_up_from_them() -> None:
    made = World.of(a_csv=[*A, LOST])
    kept = Words()
    async with made.orchestrator() as o:
        o.conductor.mesh.history.ledger.folds = {"words": kept}
        for reason in ("first", "second"):
            run = await o.finish()
            await o.commands.cancel(run.name, by="k", reason=reason)
            await o.until(run, RunState.CANCELLED)
            if reason == "first":
                await checkpointed(o, kept_for=timedelta(seconds=-1))
    fresh = Words()
    short = Ledger(folds={"words": fresh})
    history = History(made.journals.member(), epoch=9, clock=made.clock, new_id=lambda: "x")
    history.ledger = short
    read = needed(made.journals.records)
    assert len(read) < len(made.journals.records)
    history.load(read)
    assert fresh.words == kept.words == ["first", "second"]
    with pytest.raises(JournalUnreadable, match="unknown state of 'words'"):
        loaded(read)


async def test_what_has_left_is_recalled_before_it_is_needed() -> None:
    made = World.of(a_csv=A)
    made.journals.short = True
    async with made.orchestrator() as o:
        first = await o.finish(spec(mode="append"))
        await checkpointed(o, kept_for=timedelta(seconds=-1))
        assert not o.conductor.mesh.history.ledger.runs
        again = await o.finish(spec(mode="append"))
        assert again.plan is not None
        assert again.plan.known_inputs == ("a.csv",)
        made.source.inputs = {"renamed.csv": A}
        held = await o.finish(spec(mode="append"))
        assert held.held is not None
        assert f"a.csv, which {first.name} has published" in held.held.reasons[0]
        await checkpointed(o, kept_for=timedelta(seconds=-1))
    async with made.orchestrator() as o:
        await o.approve(held)
        await o.until(held, RunState.SUCCEEDED)
    assert len(made.published(spec(mode="append"))) == 2


async def test_an_older_look_is_superseded_by_one_that_has_left() -> None:
    made = World.of(a_csv=[*A, LOST])
    made.journals.short = True
    async with made.orchestrator() as o:
        older = await o.finish()
        made.source.inputs["a.csv"] = A
        history = o.conductor.mesh.history
        newer = await o.finish()
        await o.until(older, RunState.SUPERSEDED)
        await checkpointed(o, kept_for=timedelta(seconds=-1))
        assert not history.ledger.runs
        assert (await o.commands.look(older.name)).state is RunState.SUPERSEDED
        assert await o.commands.look(newer.name) == newer


async def test_a_run_stays_while_an_older_one_that_published_to_its_table_does() -> None:
    made = World.of(a_csv=A)
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        older = await o.finish(spec(transforms=1))
        assert older.state is RunState.TRANSFORM_FAILED
        made.source.inputs["a.csv"] = [Item(scope="a.csv", money=("2",))]
        newer = await o.finish()
        assert newer.state is RunState.SUCCEEDED
        await checkpointed(o, kept_for=timedelta(seconds=-1))
        assert set(o.conductor.mesh.history.ledger.runs) == {older.name, newer.name}
    await same(made.journals.records)


async def test_values_that_no_run_stands_for_any_more_stay_untransformed() -> None:
    made = World.of(a_csv=A)
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        run = await o.finish(spec(transforms=1))
        await o.commands.retry(run.name, failed_attempt=0, by="k", spec=spec().canonical())
        await o.until(run, RunState.SUCCEEDED)
        await checkpointed(o, kept_for=timedelta(seconds=-1))
    short = await same(made.journals.records)
    assert not short.runs
    assert [list(values) for values in pending(short).values()] == [[("a.csv",)]]


async def test_a_request_is_known_for_two_days_after_its_run_has_ended() -> None:
    made = World.of(a_csv=A)
    made.journals.short = True
    async with made.orchestrator() as o:
        run = await o.finish(spec(mode="append"))
        number = int(run.created.request_id.replace("-", ""), 16)
        made.clock.now += KEPT_FOR
        await checkpointed(o)
    async with made.orchestrator() as o:
        assert (await o.start(spec(mode="append"), request=number)).name == run.name
        made.clock.now += timedelta(seconds=1)
        await checkpointed(o)
        assert (await o.start(spec(mode="append"), request=number)).name != run.name


async def test_runs_are_listed_across_what_has_left() -> None:
    made = World.of(a_csv=A)
    async with made.orchestrator() as o:
        names = [(await o.finish(spec(mode="append"))).name for _ in range(3)]
        await checkpointed(o, kept_for=timedelta(seconds=-1))
        names += [(await o.finish(spec(mode="append"))).name for _ in range(2)]
        reader = o.commands.reader
        parent = names[0].parent
        listed = await reader.begun(parent, states=frozenset(), below=0, limit=9)
        assert [one.name for one in listed] == names[::-1]
        page = await reader.begun(parent, states=frozenset(), below=listed[1].position, limit=2)
        assert [one.name for one in page] == names[2:0:-1]
        none = await reader.begun(parent, states=frozenset({"HELD"}), below=0, limit=9)
        assert none == []
        assert set(await reader.runs(names)) == set(names)
        records = await reader.records(names[0])
        assert records == whole(made.journals.records).history[names[0]]
        assert await reader.run(RunName("acme_corp", "p_bill", "nobody")) is None


def just_now(history: History) -> bool:
    """Whether a checkpoint was written at this moment."""
    return history.ledger.since == history.clock()


async def eventually(true: "Callable[[], bool]") -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.001)

"""kill -9 of the orchestrator after each journal record: the next one ends the run the same way."""

import asyncio

import pytest

from services.orchestrator.journal.journal import MemoryJournal
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import World, spec

ROWS = {
    "a.csv": [
        Item(scope="a.csv", money=("1.5",), key="a"),
        Item(scope="a.csv", money=("2.25",), key="b"),
    ],
    "b.csv": [Item(scope="b.csv", money=("7",), key="c")],
}


@pytest.mark.parametrize("mode", ["replace", "append", "merge"])
@pytest.mark.parametrize("records", range(2, 14))
async def test_a_run_killed_after_any_record_is_finished_by_the_next_orchestrator(
    mode: str, records: int
) -> None:
    made = World()
    made.source.inputs.update(ROWS)
    wanted = spec(mode=mode, on_failure="fail", transforms=int(mode == "replace"))
    async with made.orchestrator() as first:
        run = await first.start(wanted)
        async with asyncio.timeout(5):
            while len(made.journals.records) < records:
                if first.commands.find(run.name).resting:
                    break
                await asyncio.sleep(0)
    async with made.orchestrator() as second:
        done = await second.until(run, RunState.SUCCEEDED)
    assert [row for row, _ in made.published(wanted)] == ["a.csv", "a.csv", "b.csv"]
    assert done.name == run.name


async def test_a_leader_whose_stream_is_sealed_can_publish_nothing() -> None:
    made = World()
    made.source.inputs.update(ROWS)
    made.workers[0].hang = made.workers[1].hang = asyncio.Event()
    async with made.orchestrator() as zombie:
        run = await zombie.start()
        async with made.orchestrator() as leader:
            made.workers[0].hang.set()
            done = await leader.until(run, RunState.SUCCEEDED)
            assert zombie.commands.find(run.name).state is not RunState.SUCCEEDED
        assert done.publishing is not None
    assert len(made.published()) == 3


@pytest.mark.parametrize("dial", ["fail", "lose"])
async def test_an_append_whose_outcome_is_unknown_is_repeated_and_stored_once(
    dial: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = World()
    made.source.inputs.update(ROWS)
    plain = made.journals.member

    def dialled() -> MemoryJournal:
        journal = plain()
        setattr(journal, dial, 3)
        return journal

    monkeypatch.setattr(type(made.journals), "member", lambda _: dialled())
    async with made.orchestrator() as o:
        await o.finish()
    positions = [record.position for record in made.journals.records]
    assert positions == list(range(1, len(positions) + 1))
    assert len(made.published()) == 3

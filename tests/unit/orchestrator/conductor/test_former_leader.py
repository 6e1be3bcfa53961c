"""What a leader does that may be one no more: it asks, and does nothing that follows from what is not durable."""

import asyncio
import dataclasses
from datetime import datetime
from typing import Literal

from services.orchestrator.conductor.conductor import FENCED_EVERY
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.warehouse.memory_warehouse import Lost, MemoryWarehouse
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.unit.orchestrator.conductor.world import World
from tests.unit.orchestrator.model.story import FORBIDDEN


@dataclasses.dataclass(slots=True)
class Slow(MemoryWarehouse):
    """Prepares nothing, and says so when it may go on."""

    go: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def prepare(self, run: Run, *, staging: bool, expire_time: datetime) -> None:
        await self.go.wait()
        raise Lost("prepare: away")


async def test_a_phase_begins_when_the_decision_that_it_follows_from_is_durable() -> None:
    warehouse = Slow()
    made = World(warehouse=warehouse)
    made.source.inputs["a.csv"] = [Item(scope="a.csv", money=("1.5",))]
    async with made.orchestrator() as o:
        run = await o.start()
        await o.until(run, RunState.INGESTING)
        made.journals.gate = asyncio.Event()
        asked = asyncio.create_task(o.commands.cancel(run.name, by="k", reason=""))
        await asyncio.sleep(0)
        assert o.conductor.mesh.run(run).state is RunState.CANCELLING
        warehouse.go.set()
        for _ in range(100):
            await asyncio.sleep(0)
        assert "tidy_unpublished" not in warehouse.calls
        made.journals.gate.set()
        await asked
        await o.until(run, RunState.CANCELLED)
    assert "tidy_unpublished" in warehouse.calls


async def test_a_former_leader_does_not_repeat_a_publication_for_ever() -> None:
    made = World.of(a_csv=[Item(scope="a.csv", money=("1.5",))])
    made.warehouse.fail["publish"] = 1_000_000
    async with made.orchestrator() as o:
        run = await o.start()
        await o.until(run, RunState.PUBLISHING)
        made.journals.sealed.add(made.stream)
        tries = made.warehouse.calls.count("publish")
        for _ in range(2_000):
            await asyncio.sleep(0)
        assert made.warehouse.calls.count("publish") <= tries + FENCED_EVERY


async def test_a_leader_that_leads_goes_on_after_it_has_asked() -> None:
    made = World.of(a_csv=[Item(scope="a.csv", money=("1.5",))])
    made.warehouse.fail["publish"] = 2 * FENCED_EVERY
    async with made.orchestrator() as o:
        done = await o.finish()
    assert done.state is RunState.SUCCEEDED


class Gate(asyncio.Event):
    """Holds appends back, and says when one has come to it."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.asked.set()
        return await super().wait()


async def test_a_stream_that_the_journal_does_not_name_yet_is_not_committed() -> None:
    a, b = [Item(scope="a.csv", money=("1",))], [Item(scope="b.csv", money=("2",))]
    made = World.of(a_csv=a, b_csv=b)
    first, second = asyncio.Event(), asyncio.Event()
    made.workers[0].hang, made.workers[1].hang = first, second
    async with made.orchestrator() as o:
        run = await o.start()
        await o.until(run, RunState.INGESTING)
        for _ in range(100):
            await asyncio.sleep(0)
        gate, later = Gate(), Gate()
        made.journals.gate = gate
        first.set()
        await gate.asked.wait()
        second.set()
        while len(o.conductor.mesh.run(run).landed) < 2:
            await asyncio.sleep(0)
        made.journals.gate = later
        gate.set()
        await later.asked.wait()
        while "commit_staged" not in made.warehouse.calls:
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(made.warehouse.committed) == 1
        later.set()
        await o.until(run, RunState.SUCCEEDED)
    assert len(made.warehouse.committed) == 2


async def test_a_run_that_fails_shows_no_quarantine_that_the_journal_does_not_name_yet() -> None:
    bad = [Item(scope="a.csv", money=("0",), bad=True)]
    made = World.of(a_csv=bad, b_csv=[Item(scope="b.csv", money=("1",))])
    go = made.hang()
    async with made.orchestrator() as o:
        run = await o.start()
        await o.until(run, RunState.INGESTING)
        for _ in range(100):
            await asyncio.sleep(0)
        made.journals.gate = asyncio.Event()
        made.workers[1].failures.append(ChunkFailed(FORBIDDEN, transient=False))
        go.set()
        for _ in range(200):
            await asyncio.sleep(0)
        assert o.conductor.mesh.run(run).landed
        assert "commit_quarantine" not in made.warehouse.calls
        made.journals.gate.set()
        await o.until(run, RunState.FAILED)
    assert "commit_quarantine" in made.warehouse.calls

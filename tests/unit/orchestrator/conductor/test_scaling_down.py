"""Workers are taken away in the middle of a run: every row is published once all the same."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator

import pytest

from services.orchestrator.runs import records as r
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.discovery import Found, Place
from services.orchestrator.workers.memory_workers import Item, MemoryWorker
from services.orchestrator.workers.roster import Roster
from services.orchestrator.workers.workers import Assignment, Beat, WorkerGone
from tests.unit.orchestrator.conductor.world import Orchestrator, World

INPUTS = {
    f"{name}_csv": [Item(scope=f"{name}.csv", money=(f"{n}",))] for n, name in enumerate("abcdefgh")
}


@dataclasses.dataclass(slots=True, eq=False)
class Leavable(MemoryWorker):
    """A worker whose calls end when it is taken for gone."""

    left: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        self.seen.append(assignment)
        yield Beat(slot_count=2)
        assert self.hang is not None
        waits = [asyncio.ensure_future(one.wait()) for one in (self.hang, self.left)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self.left.is_set():
            raise WorkerGone(f"worker {self.address} is gone", refused=False)
        yield self._land(assignment)

    def leave(self) -> None:
        self.left.set()

    async def close(self) -> None:
        return


@dataclasses.dataclass(slots=True)
class Fleet:
    """Workers of a world that come and go."""

    world: World
    gate: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Chunks stop until it is set."""
    there: dict[str, Leavable] = dataclasses.field(default_factory=dict)
    versions: asyncio.Queue[Found] = dataclasses.field(default_factory=asyncio.Queue)

    async def follow(self) -> AsyncGenerator[Found]:
        while True:
            yield await self.versions.get()
            self.versions.task_done()

    def open(self, address: str) -> tuple[Leavable, Leavable]:
        made = Leavable(address, self.world.source, self.world.warehouse, hang=self.gate)
        self.there[address] = made
        return made, made

    async def say(self, **workers: bool) -> None:
        self.versions.put_nowait({Place(name): takes for name, takes in workers.items()})
        await self.versions.join()

    async def busy(self, *addresses: str) -> None:
        """Wait until each of these has begun as many chunks as it takes."""
        async with asyncio.timeout(5):
            while any(len(self.there[a].seen) < 2 for a in addresses):
                await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def mesh() -> AsyncGenerator[tuple[World, Orchestrator, Fleet]]:
    world = World.of(**INPUTS)
    world.workers = []
    fleet = Fleet(world)
    async with world.orchestrator() as o:
        roster = Roster(fleet, o.conductor.mesh.dispatcher, fleet.open)
        following = asyncio.create_task(roster.follow())
        try:
            await fleet.say(w1=True, w2=True)
            yield world, o, fleet
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


WHOLE = sorted((f"{name}.csv", f"{n}") for n, name in enumerate("abcdefgh"))


@pytest.mark.parametrize("drained", [False, True], ids=["killed", "drained first"])
async def test_chunks_of_a_worker_that_is_gone_are_read_by_another(drained: bool) -> None:
    async with mesh() as (world, o, fleet):
        run = await o.start()
        await fleet.busy("w1", "w2")
        if drained:
            await fleet.say(w1=False, w2=True)
        await fleet.say(w2=True)
        fleet.gate.set()
        assert (await o.rest(run)).state is RunState.SUCCEEDED
        assert world.published() == WHOLE
        assert len(fleet.there["w1"].seen) == 2
        lost = {a.chunk.chunk_id for a in fleet.there["w1"].seen}
        assert lost <= {a.chunk.chunk_id for a in fleet.there["w2"].seen}


async def test_a_worker_that_drains_ends_its_chunks_and_gets_no_more() -> None:
    async with mesh() as (world, o, fleet):
        run = await o.start()
        await fleet.busy("w1", "w2")
        await fleet.say(w1=False, w2=True)
        fleet.gate.set()
        assert (await o.rest(run)).state is RunState.SUCCEEDED
        await fleet.say(w2=True)
        assert world.published() == WHOLE
        done = [len(fleet.there[name].seen) for name in ("w1", "w2")]
        assert done == [2, len(INPUTS) - 2]


async def test_a_run_whose_workers_are_all_gone_goes_on_with_the_next_that_comes() -> None:
    async with mesh() as (world, o, fleet):
        run = await o.start()
        await fleet.busy("w1", "w2")
        await fleet.say()
        for _ in range(50):
            await asyncio.sleep(0)
        assert (await o.commands.settled(o.commands.find(run.name))).state is RunState.INGESTING
        fleet.gate.set()
        await fleet.say(w3=True)
        assert (await o.rest(run)).state is RunState.SUCCEEDED
        assert world.published() == WHOLE

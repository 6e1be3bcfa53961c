"""An orchestrator that needs what was published, and cannot know it, ends; no run fails for that."""

import asyncio
import dataclasses
from collections.abc import Collection

import pytest

from services.orchestrator.archive.archive import MemoryArchive, PublishedGone
from services.orchestrator.preview import Preview
from services.orchestrator.runs.facts import Fact
from services.orchestrator.runs.ledger import Key, key_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import TargetSpec
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import PIPELINE, Orchestrator, World, spec

GOOD = Item(scope="a.csv", money=("1",))
BAD = Item(scope="a.csv", money=("2",), bad=True)


class Gone(MemoryArchive):
    """`metadata.published` was dropped."""

    async def published(self, key: Key) -> list[Fact]:
        raise PublishedGone


def forget(o: Orchestrator, *, but: Collection[Key] = ()) -> None:
    """Let the ledger know no more what was published, but by some, and nobody tell it."""
    mesh = o.conductor.mesh
    mesh.history.ledger.recalled = set(but)
    o.conductor.mesh = dataclasses.replace(mesh, archive=Gone())


async def ends(o: Orchestrator) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(PublishedGone):
            await o.conductor.watch()


def state(o: Orchestrator, run: Run) -> RunState:
    return o.commands.find(run.name).state


async def test_it_ends_where_a_run_would_be_published() -> None:
    made = World.of(a_csv=[GOOD])
    gate = made.hang()
    async with made.orchestrator() as o:
        run = await o.until(await o.start(), RunState.INGESTING)
        forget(o)
        gate.set()
        await ends(o)
        assert state(o, run) is RunState.AUDITING
    async with made.orchestrator() as o:
        assert (await o.rest(run)).state is RunState.SUCCEEDED


async def test_it_ends_where_a_run_is_planned_that_nobody_starts() -> None:
    """PlanRun said that this orchestrator stops, again and again, and it did not."""
    made = World.of(a_csv=[GOOD])
    async with made.orchestrator() as o:
        await o.finish()
        forget(o)
        with pytest.raises(PublishedGone):
            await o.conductor.knowing(Preview.of(o.conductor.mesh, PIPELINE, spec(), None))
        await ends(o)


async def test_it_ends_where_a_held_run_is_approved() -> None:
    made = World.of(a_csv=[GOOD, BAD])
    async with made.orchestrator() as o:
        run = await o.until(await o.start(), RunState.HELD)
        forget(o)
        with pytest.raises(PublishedGone):
            await o.approve(run)
        await ends(o)
        assert state(o, run) is RunState.HELD
    async with made.orchestrator() as o:
        await o.approve(run)
        assert (await o.rest(run)).state is RunState.SUCCEEDED


async def test_it_ends_where_older_runs_would_be_superseded() -> None:
    made = World.of(a_csv=[GOOD, BAD])
    elsewhere = TargetSpec(dataset="raw_bill", table="older")
    async with made.orchestrator() as o:
        await o.until(await o.start(spec().model_copy(update={"target": elsewhere})), RunState.HELD)
        made.source.inputs["a.csv"] = [GOOD]
        gate = made.hang()
        run = await o.until(await o.start(), RunState.INGESTING)
        forget(o, but=[key_of(run)])
        gate.set()
        await ends(o)
        assert state(o, run) is RunState.TRANSFORMING
    async with made.orchestrator() as o:
        assert (await o.rest(run)).state is RunState.SUCCEEDED

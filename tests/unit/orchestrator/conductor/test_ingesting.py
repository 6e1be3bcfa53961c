"""Finished streams go into staging in batches, and none waits for chunks that are still read."""

import asyncio

from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import World

CHUNKS = 60


def of_many() -> World:
    made = World()
    for number in range(CHUNKS):
        name = f"{number}.csv"
        made.source.inputs[name] = [Item(scope=name, money=(f"{number}",))]
    return made


async def test_streams_that_finish_soon_after_one_another_are_committed_together() -> None:
    made = of_many()
    async with made.orchestrator() as o:
        run = await o.finish()
    assert run.state is RunState.SUCCEEDED
    assert len(made.published()) == CHUNKS
    assert made.warehouse.calls.count("commit_staged") <= 3


async def test_a_finished_stream_does_not_wait_for_a_chunk_that_is_still_read() -> None:
    made = of_many()
    made.gather_seconds = 0.01
    held = made.workers[1].hang = asyncio.Event()
    async with made.orchestrator() as o:
        run = await o.start()
        async with asyncio.timeout(5):
            while len(made.warehouse.committed) < CHUNKS - len(made.workers[1].seen):
                await asyncio.sleep(0)
        held.set()
        await o.until(run, RunState.SUCCEEDED)
    assert len(made.published()) == CHUNKS

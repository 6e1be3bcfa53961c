"""A leader that nobody told of its end, with a step that fails again and again and nothing to write."""

import asyncio

from services.orchestrator.conductor.conductor import FENCED_EVERY
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import World


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

"""A run is carried out, and watched, without a look at the runs of others."""

import asyncio

from services.orchestrator.api.watches import Watches
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import World
from tests.unit.orchestrator.unlisted import Unlisted

ONE = [Item(scope="a.csv", money=("1.5",))]


async def test_a_run_begins_and_ends_without_a_look_at_all_runs() -> None:
    async with World.of(a_csv=ONE).orchestrator() as o:
        await o.finish()
        ledger = o.conductor.mesh.history.ledger
        ledger.runs = runs = Unlisted(ledger.runs)
        run = await o.finish(reload=True)
    assert run.state is RunState.SUCCEEDED
    assert runs.looks == 0


async def test_a_watch_of_a_tenant_shows_its_changes_without_a_look_at_all_runs() -> None:
    async with World.of(a_csv=ONE).orchestrator() as o:
        before = await o.finish()
        ledger = o.conductor.mesh.history.ledger
        ledger.runs = runs = Unlisted(ledger.runs)
        cursor = str(before.position)
        changes = Watches(o.conductor).runs(before.name.tenant, lambda _: True, cursor)
        run = await o.finish(reload=True)
        async with asyncio.timeout(10):
            shown, _ = await anext(changes)
        await changes.aclose()
    assert shown is not None
    assert shown.name == run.name
    assert runs.looks == 0

"""A run that ends unpublished leaves nothing: no staging, no quarantine, whoever was away or killed."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta

import pytest

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import Orchestrator, World

ONE = [Item(scope="a.csv", money=("1.5",))]
HELD = [*ONE, Item(scope="a.csv", money=("9.99",), bad=True)]
AWAY = 1_000_000


async def superseded(made: World, o: Orchestrator) -> Run:
    """A held run whose scope a newer one has published."""
    made.source.inputs["a.csv"] = HELD
    older = await o.finish()
    assert older.state is RunState.HELD
    made.source.inputs["a.csv"] = ONE
    assert (await o.finish()).state is RunState.SUCCEEDED
    return await o.until(older, RunState.SUPERSEDED)


async def cancelled(made: World, o: Orchestrator) -> Run:
    """A failed run that somebody has cancelled."""
    made.source.inputs["a.csv"] = HELD
    made.warehouse.errors["chunk_counts"] = [FailedPrecondition("no", reason="AUDIT_MISMATCH")]
    run = await o.finish()
    assert run.state is RunState.FAILED
    return await o.commands.cancel(run.name, by="k", reason="")


def left(made: World, run: Run) -> list[str]:
    """What a run has left: its staging table, the scope values of its quarantined rows."""
    staging = made.warehouse.staging(run)
    tables = [staging] if staging in made.warehouse.tables else []
    return tables + [scope for of, scope in made.quarantined() if of == run.name.run]


async def gone(made: World, run: Run) -> None:
    async with asyncio.timeout(5):
        while left(made, run):
            await asyncio.sleep(0)


End = Callable[[World, Orchestrator], Coroutine[None, None, Run]]
ENDS = pytest.mark.parametrize("end", [superseded, cancelled])


@ENDS
@pytest.mark.parametrize(
    "error", [Unavailable("away"), FailedPrecondition("no")], ids=["away", "refused"]
)
async def test_what_a_run_leaves_is_removed_however_often_that_fails(
    end: End, error: Exception
) -> None:
    made = World()
    made.warehouse.errors["tidy_unpublished"] = [error] * 20
    async with made.orchestrator() as o:
        run = await end(made, o)
        await gone(made, run)
    assert made.warehouse.errors["tidy_unpublished"] == []


@ENDS
async def test_what_killed_orchestrators_left_of_a_run_the_next_one_removes(end: End) -> None:
    made = World()
    made.warehouse.fail["tidy_unpublished"] = AWAY
    async with made.orchestrator() as o:
        run = await end(made, o)
    async with made.orchestrator():
        await asyncio.sleep(0)
    assert left(made, run) != []
    made.warehouse.fail.clear()
    async with made.orchestrator():
        await gone(made, run)
    assert made.quarantined() == []


async def test_a_start_tidies_no_run_that_ended_long_before_the_last_record() -> None:
    made = World()
    async with made.orchestrator() as o:
        run = await superseded(made, o)
        await gone(made, run)
        made.clock.now += timedelta(days=2)
        await o.finish()
    made.warehouse.calls.clear()
    async with made.orchestrator():
        for _ in range(100):
            await asyncio.sleep(0)
    assert "tidy_unpublished" not in made.warehouse.calls


async def test_what_a_superseded_run_left_is_removed_whoever_is_stopped_while_that_is_recorded() -> (
    None
):
    made = World.of(a_csv=HELD)
    async with made.orchestrator() as o:
        older = await o.finish()
        assert left(made, older) != []
        made.source.inputs["a.csv"] = ONE
        newer = await o.start()
        runs = o.conductor.mesh.history.ledger.runs
        async with asyncio.timeout(5):
            while runs[older.name].state is not RunState.SUPERSEDED:
                await asyncio.sleep(0)
        await o.conductor.restart(newer)
        await gone(made, older)

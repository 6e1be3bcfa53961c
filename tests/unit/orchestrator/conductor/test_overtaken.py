"""An older look that comes to its end after a newer one was published: superseded, whatever it found."""

import asyncio

import pytest

from libs.common.errors import FailedPrecondition
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import PipelineSpec, ScheduleSpec
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec

ONE = [Item(scope="a.csv", money=("1.5",))]
LOST = [*ONE, Item(scope="a.csv", money=("9.99",), bad=True)]
NEWER = [Item(scope="a.csv", money=("2",))]


def beside() -> PipelineSpec:
    """A pipeline whose runs may be live beside one another."""
    schedule = ScheduleSpec(cron="0 6 * * *", overlap="allow_all")
    return spec().model_copy(update={"schedule": schedule})


async def overtaken(made: World, o: Orchestrator) -> tuple[Run, asyncio.Event]:
    """A run that is in the middle of its chunk, while a newer look at its scope is published."""
    made.source.inputs["a.csv"] = LOST
    event = made.hang()
    older = await o.start(beside())
    async with asyncio.timeout(5):
        while not sum(len(worker.seen) for worker in made.workers):
            await asyncio.sleep(0)
    for worker in made.workers:
        worker.hang = None
    made.source.inputs["a.csv"] = NEWER
    assert (await o.finish(beside())).state is RunState.SUCCEEDED
    made.source.inputs["a.csv"] = LOST
    return older, event


def moves(made: World, run: Run) -> list[str]:
    return [x.detail.type for x in made.journals.records if x.run == str(run.name)]


async def test_one_that_its_audit_would_hold_is_never_held() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        older, event = await overtaken(made, o)
        event.set()
        await o.until(older, RunState.SUPERSEDED)
        while made.warehouse.staging(older) in made.warehouse.tables:
            await asyncio.sleep(0)
    assert "run.held" not in moves(made, older)
    assert made.published() == [("a.csv", "2")]
    assert made.quarantined() == []


async def test_one_that_fails_is_superseded_at_once_and_keeps_why_it_failed() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        older, event = await overtaken(made, o)
        made.warehouse.errors["chunk_counts"] = [FailedPrecondition("no", reason="AUDIT_MISMATCH")]
        event.set()
        ended = await o.until(older, RunState.SUPERSEDED)
        while made.quarantined():
            await asyncio.sleep(0)
    assert ended.failure is not None
    assert ended.failure.reason == "AUDIT_MISMATCH"
    assert moves(made, older)[-2:] == ["run.failed", "run.superseded"]


@pytest.mark.parametrize("state", [RunState.HELD, RunState.FAILED])
async def test_one_that_rests_as_an_earlier_version_left_it_is_superseded_by_a_start(
    state: RunState,
) -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        older, event = await overtaken(made, o)
        await o.conductor.stop(older.name)
        history = o.conductor.mesh.history
        if state is RunState.HELD:
            history.decide(older.name, r.RunIngested())
            expire = made.clock().replace(year=2027)
            left: r.Detail = r.RunHeld(reasons=("money",), expire_time=expire)
        else:
            failure = r.Failure(kind="data", reason="AUDIT_MISMATCH", message="", advice="")
            left = r.RunFailed(failure=failure)
        await history.record(older.name, left)
        event.set()
    async with made.orchestrator() as o:
        await o.until(older, RunState.SUPERSEDED)

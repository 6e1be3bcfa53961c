"""Runs of several tenants share the slots of workers, and what each may have outlives the orchestrator."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from libs.common.names import PipelineName
from services.orchestrator.runs import records as r
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.records import Share
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.fair_queue import Standing
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import Assignment, ChunkFailed
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec

SLOTS = 4
MINE = PipelineName("acme_corp", "p_bill")
SECOND = PipelineName("acme_corp", "p_second")
OTHERS = PipelineName("widgetsinc", "p_bill")
HEAVY = Share(slot_weight=2.0, chunk_count=3)


def of(pipeline: PipelineName) -> dict[str, str]:
    return {"tenant": pipeline.tenant, "pipeline": pipeline.pipeline}


def of_many(chunks: int) -> tuple[World, list[Assignment]]:
    """A world whose source has chunks, and the tries of all its workers in the order they began."""
    made, begun = World(), list[Assignment]()
    for number in range(chunks):
        name = f"{number:03}.csv"
        made.source.inputs[name] = [Item(scope=name, money=(f"{number}",))]
    for worker in made.workers:
        worker.seen = begun
    return made, begun


async def until(claim: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not claim():
            await asyncio.sleep(0)


def standings(o: Orchestrator) -> dict[str, tuple[int, int]]:
    """Slots and waiting chunks by tenant."""
    found: list[Standing] = o.conductor.mesh.dispatcher.tenants()
    return {one.tenant: (one.slot_count, one.waiting_count) for one in found}


async def test_a_tenant_whose_chunks_come_late_does_not_wait_for_those_of_another() -> None:
    made, begun = of_many(40)
    gate = made.hang()
    async with made.orchestrator() as o:
        crowd = await o.start(spec().model_copy(update=of(MINE)), pipeline=MINE)
        await until(lambda: standings(o) == {"acme_corp": (SLOTS, 12)})
        late = await o.start(spec().model_copy(update=of(OTHERS)), pipeline=OTHERS)
        await until(lambda: standings(o).get("widgetsinc") == (0, 16))
        gate.set()
        for run in (crowd, late):
            assert (await o.rest(run)).state is RunState.SUCCEEDED
        assert standings(o) == {}
    tenants = [assignment.run.tenant for assignment in begun[SLOTS:]]
    assert tenants[0] == "widgetsinc"
    both = tenants[: 2 * 30]
    assert abs(both.count("widgetsinc") - both.count("acme_corp")) <= SLOTS


async def test_a_tenants_oldest_run_goes_first_in_the_order_of_its_plan() -> None:
    made, begun = of_many(12)
    gate = made.hang()
    async with made.orchestrator() as o:
        first = await o.start(spec().model_copy(update=of(MINE)), pipeline=MINE)
        await until(lambda: standings(o) == {"acme_corp": (SLOTS, 8)})
        second = await o.start(spec().model_copy(update=of(SECOND)), pipeline=SECOND)
        await until(lambda: standings(o) == {"acme_corp": (SLOTS, 20)})
        gate.set()
        for run in (first, second):
            await o.rest(run)
    assert [a.run.pipeline for a in begun] == ["p_bill"] * 12 + ["p_second"] * 12
    names = [a.chunk.input_id for a in begun]
    assert names == sorted(made.source.inputs) * 2


async def test_within_a_tenant_what_somebody_asks_for_goes_before_a_backfill_that_goes_on() -> None:
    made, begun = of_many(20)
    gate = made.hang()
    async with made.orchestrator() as o:
        crowd = await o.start(spec().model_copy(update=of(MINE)), pipeline=MINE, lane=Lane.BACKFILL)
        await until(lambda: standings(o) == {"acme_corp": (SLOTS, 12)})
        asked = await o.start(spec().model_copy(update=of(SECOND)), pipeline=SECOND)
        await until(lambda: standings(o) == {"acme_corp": (SLOTS, 28)})
        gate.set()
        for run in (crowd, asked):
            assert (await o.rest(run)).state is RunState.SUCCEEDED
    pipelines = [a.run.pipeline for a in begun[SLOTS:][:18]]
    assert (pipelines[0], pipelines.count("p_second")) == ("p_second", 17)


async def test_a_run_keeps_its_lane_over_a_restart_until_somebody_retries_it() -> None:
    made, _ = of_many(1)
    failure = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="")
    for worker in made.workers:
        worker.failures = [ChunkFailed(failure, transient=False)]
    async with made.orchestrator() as o:
        run = await o.rest(await o.start(lane=Lane.BACKFILL))
        assert (run.state, run.lane) == (RunState.FAILED, Lane.BACKFILL)
    async with made.orchestrator() as o:
        assert o.commands.find(run.name).lane is Lane.BACKFILL
        assert (await o.rest(await o.retry(run))).lane is Lane.INTERACTIVE


async def test_a_cap_holds_over_all_runs_of_a_tenant_and_after_a_restart() -> None:
    made, begun = of_many(5)
    made.hang()
    async with made.orchestrator() as o:
        for pipeline in (MINE, SECOND):
            await o.start(spec().model_copy(update=of(pipeline)), pipeline=pipeline, share=HEAVY)
        await until(lambda: standings(o) == {"acme_corp": (3, 7)})
    gate = made.hang()
    begun.clear()
    async with made.orchestrator() as o:
        assert o.conductor.mesh.history.ledger.share("acme_corp") == HEAVY
        await until(lambda: standings(o) == {"acme_corp": (3, 7)})
        await until(lambda: len(begun) == 3)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(begun) == 3
        gate.set()
        for run in list(o.conductor.mesh.history.ledger.runs.values()):
            assert (await o.rest(run)).state is RunState.SUCCEEDED


async def test_a_cancelled_run_leaves_slots_and_queue_to_the_others() -> None:
    made, _ = of_many(30)
    made.hang()
    async with made.orchestrator() as o:
        crowd = await o.start(spec().model_copy(update=of(MINE)), pipeline=MINE)
        await o.start(spec().model_copy(update=of(OTHERS)), pipeline=OTHERS)
        await until(lambda: sum(map(sum, standings(o).values())) == 32)
        await o.commands.cancel(crowd.name, by="key1", reason="")
        await until(lambda: standings(o) == {"widgetsinc": (SLOTS, 12)})


async def test_what_a_tenant_may_have_is_what_its_last_call_brought() -> None:
    made, _ = of_many(1)
    failure = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="")
    for worker in made.workers:
        worker.failures = [ChunkFailed(failure, transient=False)]
    async with made.orchestrator() as o:
        ledger = o.conductor.mesh.history.ledger
        assert ledger.share("acme_corp") == Share()
        run = await o.rest(await o.start(share=HEAVY))
        assert ledger.share("acme_corp") == HEAVY
        run = await o.rest(await o.retry(run))
        assert ledger.share("acme_corp") == HEAVY
        assert run.state in {RunState.FAILED, RunState.SUCCEEDED}
        await o.rest(
            await o.start(spec().model_copy(update=of(SECOND)), pipeline=SECOND, share=None)
        )
        assert ledger.share("acme_corp") == HEAVY
        await o.rest(
            await o.start(spec().model_copy(update=of(OTHERS)), pipeline=OTHERS, share=Share())
        )
        assert (ledger.share("acme_corp"), ledger.share("widgetsinc")) == (HEAVY, Share())


async def test_streams_of_a_run_count_for_the_next_orchestrator_those_of_quarantine_too() -> None:
    made = World()
    made.streams_per_hour = 50
    for number, bad in enumerate((False, False, True)):
        name = f"{number}.csv"
        made.source.inputs[name] = [
            Item(scope=name, money=("1",)),
            Item(scope=name, money=("0",), bad=bad),
        ]
    async with made.orchestrator() as o:
        assert o.conductor.mesh.dispatcher.streams().ready_count == 10
        await o.finish()
        assert o.conductor.mesh.dispatcher.streams().ready_count == 6
    async with made.orchestrator() as o:
        assert o.conductor.mesh.dispatcher.streams().ready_count == 6
        made.clock.now += timedelta(hours=1)
        assert o.conductor.mesh.dispatcher.streams().ready_count == 10
    async with made.orchestrator() as o:
        assert o.conductor.mesh.dispatcher.streams().ready_count == 10


@pytest.mark.parametrize(
    "made",
    [
        r.RunCreated(spec="", spec_hash="", request_id="", request_digest=""),
        r.RunRetried(attempt=2),
    ],
    ids=["created", "retried"],
)
def test_records_of_before_say_nothing_about_shares_and_lanes(
    made: r.RunCreated | r.RunRetried,
) -> None:
    before = made.model_dump(mode="json", exclude={"share", "lane"})
    assert r.DETAILS.validate_python(before) == made

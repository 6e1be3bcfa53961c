"""Runs begin in turn while their tenant has fewer than it may and bytes left; nothing that began stops."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.names import PipelineName
from services.orchestrator.conductor.admission import Obstacle, Wait
from services.orchestrator.conductor.commands import TooManyRuns
from services.orchestrator.conductor.presence import present_of
from services.orchestrator.explanations.waiting import where
from services.orchestrator.runs import records as r
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.records import Share
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import BEGUN, RunState
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.unit.orchestrator.conductor.world import NOON, Orchestrator, World, spec

ONE_RUN = Share(live_run_count=1)
BYTES = Share(read_bytes_per_day=400)
"""A chunk of the world has 100 bytes for each of its rows."""

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


def world() -> World:
    return World.of(a_csv=[Item(scope="a.csv", money=("1.5",))])


async def start(
    o: Orchestrator,
    number: int,
    *,
    tenant: str = "acme_corp",
    share: Share | None = None,
    lane: Lane = Lane.INTERACTIVE,
) -> Run:
    name = PipelineName(tenant, f"p_{number}")
    one = spec().model_copy(update={"tenant": tenant, "pipeline": name.pipeline})
    return await o.start(one, pipeline=name, share=share, lane=lane)


async def turns(count: int = 30) -> None:
    """Let whoever can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


def begun(o: Orchestrator) -> list[str]:
    """Pipelines in the order in which their runs began."""
    ledger = o.conductor.mesh.history.ledger
    records = sorted(
        (record for records in ledger.history.values() for record in records),
        key=lambda record: record.position,
    )
    planning = [record.run for record in records if isinstance(record.detail, r.RunPlanning)]
    return [name.split("/")[3] for name in dict.fromkeys(planning)]


@contextlib.asynccontextmanager
async def capped(made: World, most: int) -> AsyncGenerator[Orchestrator]:
    """An orchestrator that fails if ever more runs of a tenant have begun than may."""
    async with made.orchestrator() as o:
        ledger = o.conductor.mesh.history.ledger

        def check(run: Run) -> None:
            for backfills in (False, True):
                begun = {
                    x.name
                    for x in ledger.runs.values()
                    if x.name.tenant == run.name.tenant
                    and x.state in BEGUN
                    and x.of_backfill == backfills
                }
                assert begun == ledger.begun_runs(run.name.tenant, of_backfills=backfills)
                assert len(begun) <= most

        o.conductor.mesh.history.follow(check)
        yield o


async def test_runs_beyond_the_cap_wait_and_begin_by_age_as_others_end() -> None:
    made = world()
    gate = made.hang()
    async with capped(made, 2) as o:
        runs = [await start(o, n, share=Share(live_run_count=2)) for n in range(5)]
        others = await start(o, 9, tenant="widgetsinc")
        await turns()
        states = [o.commands.find(run.name).state for run in (*runs, others)]
        assert states == [RunState.INGESTING] * 2 + [RunState.PENDING] * 3 + [RunState.INGESTING]
        gate.set()
        for run in (*runs, others):
            assert (await o.rest(run)).state is RunState.SUCCEEDED
        assert [name for name in begun(o) if name != "p_9"] == [f"p_{n}" for n in range(5)]
        assert o.conductor.admission.waiting() == {}


async def test_of_runs_that_wait_the_lane_that_is_most_urgent_begins_first_also_after_a_restart() -> (
    None
):
    made = world()
    made.hang()
    async with capped(made, 1) as o:
        await start(o, 0, share=ONE_RUN)
        await start(o, 1, lane=Lane.SCHEDULED)
        await start(o, 2)
        await turns()
        assert begun(o) == ["p_0"]
    for worker in made.workers:
        worker.hang = None
    async with capped(made, 1) as o:
        for run in list(o.conductor.mesh.history.ledger.runs.values()):
            assert (await o.rest(run)).state is RunState.SUCCEEDED
        assert begun(o) == ["p_0", "p_2", "p_1"]


async def test_runs_of_backfills_have_as_many_places_as_all_others_and_take_none_from_them() -> (
    None
):
    made = world()
    made.hang()
    async with capped(made, 1) as o:
        for number in range(2):
            await start(o, number, share=ONE_RUN, lane=Lane.BACKFILL)
        for number in range(2, 4):
            await start(o, number)
        await turns()
        assert sorted(begun(o)) == ["p_0", "p_2"]
        assert o.conductor.admission.waiting()["acme_corp"].total() == 2


async def test_a_run_that_waits_says_why_and_what_is_before_it() -> None:
    made = world()
    made.hang()
    async with made.orchestrator() as o:
        runs = [await start(o, n, share=ONE_RUN) for n in range(3)]
        other = await start(o, 9, lane=Lane.SCHEDULED)
        await turns()
        admission = o.conductor.admission
        assert [admission.wait_of(run) for run in (*runs, other)] == [
            None,
            Wait(obstacle=Obstacle.LIVE_RUNS, ahead_count=0, until=None),
            Wait(obstacle=Obstacle.LIVE_RUNS, ahead_count=1, until=None),
            Wait(obstacle=Obstacle.LIVE_RUNS, ahead_count=0, until=None),
        ]
        found = present_of(o.conductor, o.commands.find(runs[2].name))
        (sentence,) = where(o.commands.find(runs[2].name), found)
        assert sentence == (
            "It waits to begin: the tenant has as many live runs as its limit live_run_count "
            "allows, 1; wait until one ends, or have the limit raised. Before it comes 1 run of its lane."
        )
        assert admission.waiting() == {
            "acme_corp": {Lane.INTERACTIVE: 2, Lane.SCHEDULED: 1, Lane.BACKFILL: 0}
        }


@pytest.mark.parametrize("how", ["held", "failed"])
async def test_a_run_that_rests_leaves_its_place_to_the_next(how: str) -> None:
    made = world()
    if how == "held":
        made.source.inputs["a.csv"].append(Item(scope="a.csv", money=("9.99",), bad=True))
    else:
        failure = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="")
        made.workers[0].failures = [ChunkFailed(failure, transient=False)]
        made.workers[1].failures = [ChunkFailed(failure, transient=False)]
    async with capped(made, 1) as o:
        first = await start(o, 0, share=ONE_RUN)
        second = await start(o, 1)
        assert (await o.rest(first)).state in {RunState.HELD, RunState.FAILED}
        assert (await o.rest(second)).resting


async def test_a_run_that_is_cancelled_while_it_waits_never_begins_and_lets_the_next_pass() -> None:
    made = world()
    gate = made.hang()
    async with capped(made, 1) as o:
        first, second, third = [await start(o, n, share=ONE_RUN) for n in range(3)]
        await turns()
        await o.commands.cancel(second.name, by="key1", reason="")
        assert (await o.rest(second)).state is RunState.CANCELLED
        gate.set()
        for run in (first, third):
            assert (await o.rest(run)).state is RunState.SUCCEEDED
        assert begun(o) == ["p_0", "p_2"]


async def test_a_cap_that_is_raised_lets_those_that_wait_begin() -> None:
    made = world()
    made.hang()
    async with made.orchestrator() as o:
        for number in range(4):
            await start(o, number, share=ONE_RUN)
        await turns()
        assert begun(o) == ["p_0"]
        await start(o, 9, tenant="widgetsinc", share=Share(live_run_count=3))
        await turns()
        assert begun(o) == ["p_0", "p_9"]
        await start(o, 4, share=Share(live_run_count=3))
        await turns()
        assert begun(o) == ["p_0", "p_9", "p_1", "p_2"]


async def test_what_auth_says_when_a_run_is_planned_is_known_and_outlives_the_orchestrator() -> (
    None
):
    made = world()
    made.shares["acme_corp"] = ONE_RUN
    made.hang()
    async with made.orchestrator() as o:
        await start(o, 0)
        await turns()
        await start(o, 1)
        await turns()
        assert begun(o) == ["p_0"]
    made.shares.clear()
    async with made.orchestrator() as o:
        assert o.conductor.mesh.history.ledger.share("acme_corp") == ONE_RUN
        plans = [
            record.detail.share
            for records in o.conductor.mesh.history.ledger.history.values()
            for record in records
            if isinstance(record.detail, r.RunPlanned)
        ]
        assert plans == [ONE_RUN]


async def test_after_the_bytes_of_a_day_runs_that_began_go_on_and_others_wait_for_the_next() -> (
    None
):
    made = world()
    made.source.inputs["b.csv"] = [Item(scope="b.csv", money=("2",))]
    async with made.orchestrator() as o:
        first, second = [await start(o, n, share=BYTES) for n in range(2)]
        for run in (first, second):
            assert (await o.rest(run)).state is RunState.SUCCEEDED
        third = await start(o, 2)
        others = await start(o, 9, tenant="widgetsinc")
        assert (await o.rest(others)).state is RunState.SUCCEEDED
        assert o.conductor.admission.wait_of(third) == Wait(
            obstacle=Obstacle.READ_BYTES, ahead_count=0, until=MIDNIGHT
        )
    async with made.orchestrator() as o:
        await turns()
        assert o.commands.find(third.name).state is RunState.PENDING
        assert o.conductor.mesh.history.ledger.read_bytes_on("acme_corp", NOON.date()) == 400
        made.clock.now = MIDNIGHT - timedelta(seconds=1)
        await asyncio.sleep(0.01)
        assert o.commands.find(third.name).state is RunState.PENDING
        made.clock.now = MIDNIGHT
        assert (await o.rest(third)).state is RunState.SUCCEEDED
        assert o.conductor.mesh.history.ledger.read_bytes_on("acme_corp", MIDNIGHT.date()) == 200


async def test_the_time_that_a_run_waits_to_begin_is_not_of_its_timeout() -> None:
    made = world()
    gate = made.hang()
    async with made.orchestrator() as o:
        first, second = [await start(o, n, share=ONE_RUN) for n in range(2)]
        await turns()
        made.clock.now += timedelta(seconds=first.spec.limits.timeout_seconds - 60)
        gate.set()
        assert (await o.rest(first)).state is RunState.SUCCEEDED
        assert (await o.rest(second)).attempt_time == made.clock.now


async def test_no_more_runs_may_wait_than_are_kept() -> None:
    made = world()
    made.most_pending = 3
    made.hang()
    async with made.orchestrator() as o:
        for number in range(4):
            await start(o, number, share=ONE_RUN)
            await turns()
        with pytest.raises(TooManyRuns) as refused:
            await start(o, 4)
        assert refused.value.metadata == {"tenant": "acme_corp", "limit": "3"}
        await start(o, 4, tenant="widgetsinc")


def test_plans_of_before_say_nothing_about_shares() -> None:
    made = r.RunPlanned(chunks=(), ingest_time=NOON)
    assert r.DETAILS.validate_python(made.model_dump(mode="json", exclude={"share"})) == made
    assert Share.model_validate({"slot_weight": 2.0}).live_run_count == 20

"""The slowest chunk of a run gets a second try when slots are idle; the first result counts."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.conductor.hedging import (
    FACTOR,
    LEAST_BYTES,
    LEAST_FINISHED,
    LEAST_SECONDS,
    Done,
    Pace,
    winner,
)
from services.orchestrator.retries.causes import account_of
from services.orchestrator.runs import records as r
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import LimitsSpec
from services.orchestrator.workers.workers import Assignment, Beat, ChunkFailed, WorkerGone
from tests.support.virtual_time import in_virtual_time
from tests.unit.orchestrator.conductor.virtual import (
    Course,
    Paced,
    ended,
    landed_of,
    seconds,
    world_of,
)
from tests.unit.orchestrator.conductor.world import World, spec

SLOW = "0.csv"


async def run_of(
    made: World, *, parallel: int = 16, within: float = 300, share: r.Share | None = None
) -> tuple[Run, dict[str, int], float]:
    """Run to the end; return the run, its hedges by outcome, and how long it took."""
    wanted = spec().model_copy(update={"limits": LimitsSpec(max_parallel_chunks=parallel)})
    async with made.orchestrator() as o:
        done = await ended(o, await o.start(wanted, share=share), within=within)
        return done, dict(o.conductor.mesh.retries.hedges), seconds()


def whole(made: World) -> bool:
    """Whether every row was published once."""
    return [scope for scope, _ in made.published()] == sorted(made.source.inputs)


def attempts(made: World) -> dict[str, list[int]]:
    """Return the tries of the slow chunk by worker."""
    found = {
        worker.address: [a.chunk_attempt for a in worker.seen if a.chunk.input_id == SLOW]
        for worker in made.workers
    }
    return {address: tries for address, tries in found.items() if tries}


def test_a_hedge_that_is_faster_counts_and_the_slow_try_is_stopped() -> None:
    async def told() -> None:
        made, course = world_of(6)
        course.first[SLOW] = 200.0
        done, hedges, took = await run_of(made)
        landed = landed_of(done, SLOW)
        assert hedges == {"won": 1}
        assert took < 15
        assert whole(made)
        assert len(attempts(made)) == 2
        assert landed.chunk_attempt == max(number for (number,) in attempts(made).values())
        assert sum(worker.stopped for worker in made.workers) == 1
        receipt = receipt_of(done)
        assert receipt is not None
        assert (landed.try_count, receipt.retried_chunk_count) == (1, 0)

    in_virtual_time(told())


def test_a_hedge_that_is_slower_is_stopped_and_leaves_nothing() -> None:
    async def told() -> None:
        made, course = world_of(6)
        course.first[SLOW], course.later[SLOW] = 9.0, 200.0
        done, hedges, took = await run_of(made)
        assert hedges == {"lost": 1}
        assert took < 20
        assert whole(made)
        first = min(number for (number,) in attempts(made).values())
        assert landed_of(done, SLOW).chunk_attempt == first
        assert sum(worker.stopped for worker in made.workers) == 1

    in_virtual_time(told())


def test_a_try_that_dies_beside_its_hedge_costs_no_attempt() -> None:
    async def told() -> None:
        made, course = world_of(6)
        course.first[SLOW], course.later[SLOW] = 9.0, 30.0
        course.dies.add(SLOW)
        done, hedges, _ = await run_of(made)
        assert hedges == {"won": 1}
        assert len(course.tries(SLOW)) == 2
        assert landed_of(done, SLOW).try_count == 1
        assert whole(made)

    in_virtual_time(told())


@dataclasses.dataclass(slots=True, eq=False)
class Limited(Paced):
    """Hears in its second try of the slow chunk that its provider wants to be left alone."""

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        if assignment.chunk.input_id == SLOW and self.course.tries(SLOW):
            yield Beat(slot_count=2)
            raise ChunkFailed(
                r.Failure(kind="quota", reason="SOURCE_RATE_LIMITED", message="429", advice=""),
                transient=True,
                retry_after=60.0,
            )
        async for event in Paced.ingest(self, assignment):
            yield event


async def left_alone(made: World) -> set[str]:
    """Run to the end; return the workers and accounts that rested meanwhile."""
    rested = set[str]()
    async with made.orchestrator() as o:
        run = await o.start()
        dispatcher = o.conductor.mesh.dispatcher
        while not o.commands.find(run.name).resting:
            await asyncio.sleep(0.3)
            rested |= {worker.address for worker in dispatcher.workers() if worker.resting}
            rested |= {at.account for at in dispatcher.accounts.standings() if at.resting}
        assert sum(o.conductor.mesh.retries.hedges.values()) == 1
    return rested


def test_a_worker_that_dies_under_a_try_beside_its_hedge_is_left_alone() -> None:
    async def told() -> None:
        made, course = world_of(6)
        course.first[SLOW], course.later[SLOW] = 9.0, 30.0
        course.dies.add(SLOW)
        assert await left_alone(made) == {course.tries(SLOW)[0]}

    in_virtual_time(told())


def test_an_account_that_a_hedge_hears_to_leave_alone_is_left_alone() -> None:
    async def told() -> None:
        made, course = world_of(6)
        course.first[SLOW] = 30.0
        made.workers = [
            Limited(f"w{i}", made.source, made.warehouse, course=course) for i in (1, 2)
        ]
        assert await left_alone(made) == {account_of(spec()).account}

    in_virtual_time(told())


def test_a_hedge_that_dies_is_forgotten() -> None:
    async def told() -> None:
        made, course = world_of(6)
        course.first[SLOW], course.later[SLOW] = 30.0, 5.0
        task = asyncio.create_task(run_of(made))
        while len(course.tries(SLOW)) < 1:
            await asyncio.sleep(0.5)
        course.dies.add(SLOW)
        done, hedges, _ = await task
        assert hedges == {"lost": 1}
        assert not course.dies
        assert len(course.tries(SLOW)) == 2
        assert landed_of(done, SLOW).try_count == 1
        assert whole(made)

    in_virtual_time(told())


def test_no_hedge_begins_for_a_tenant_that_has_all_it_may_have() -> None:
    async def told() -> None:
        made, course = world_of(6)
        course.first["5.csv"] = 9.0
        course.dies.add("5.csv")
        done, hedges, took = await run_of(made, share=r.Share(chunk_count=1))
        assert hedges == {}
        assert took < 40
        assert len(course.tries("5.csv")) == 2
        assert landed_of(done, "5.csv").try_count == 2
        assert whole(made)

    in_virtual_time(told())


def test_a_try_that_dies_waits_for_no_hedge_that_has_not_begun() -> None:
    async def dies() -> Done:
        raise WorkerGone("worker w1 died", refused=False)

    async def waits() -> Done | None:
        await asyncio.Event().wait()
        return None

    async def told() -> None:
        first, hedge = asyncio.create_task(dies()), asyncio.create_task(waits())
        with pytest.raises(WorkerGone, match="w1 died"):
            async with asyncio.timeout(60):
                await winner(first, hedge, asyncio.Event())
        hedge.cancel()

    in_virtual_time(told())


def test_no_hedge_begins_while_another_chunk_waits_for_a_seat() -> None:
    async def told() -> None:
        made, course = world_of(24)
        course.first[SLOW] = 100.0
        course.later |= dict.fromkeys(made.source.inputs, 2.0)
        _, hedges, _ = await run_of(made)
        moments = {name: moment for moment, name, _ in course.began}
        assert hedges == {"won": 1}
        assert moments[SLOW] > FACTOR * 2.0
        assert moments[SLOW] == max(moments.values())

    in_virtual_time(told())


def test_few_chunks_of_a_run_are_hedged_and_each_once() -> None:
    async def told() -> None:
        made, course = world_of(40, workers=8)
        slow = [f"{number}.csv" for number in range(6)]
        course.first |= dict.fromkeys(slow, 40.0)
        course.later |= dict.fromkeys(slow, 40.0)
        _, hedges, _ = await run_of(made)
        tries = [len(course.tries(name)) for name in made.source.inputs]
        assert sum(hedges.values()) == 2
        assert sorted(tries, reverse=True)[:3] == [2, 2, 1]

    in_virtual_time(told())


async def throttled(made: World, course: Course) -> int:
    course.throttled.add(SLOW)
    return 16


async def one_at_a_time(made: World, course: Course) -> int:
    return 1


async def alone(made: World, course: Course) -> int:
    del made.workers[1:]
    return 16


@pytest.mark.parametrize("why", [throttled, one_at_a_time, alone])
def test_no_hedge_begins_where_it_would_help_nobody(
    why: Callable[[World, Course], Awaitable[int]],
) -> None:
    async def told() -> None:
        made, course = world_of(6)
        course.first["5.csv" if why is one_at_a_time else SLOW] = 40.0
        parallel = await why(made, course)
        _, hedges, took = await run_of(made, parallel=parallel)
        assert hedges == {}
        assert took >= 40.0
        assert len(course.began) == 6

    in_virtual_time(told())


@given(
    finished=st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 2**32)), max_size=30),
    ran=st.floats(0, 1e5),
    size=st.integers(0, 2**32),
)
def test_a_chunk_is_slow_only_long_after_the_median_for_its_size(
    finished: list[tuple[float, int]], ran: float, size: int
) -> None:
    pace = Pace(10)
    for took, of in finished:
        pace.finished(took, of)
    rates = sorted(took / max(of, LEAST_BYTES) for took, of in finished)
    if len(finished) < LEAST_FINISHED:
        assert not pace.slow(ran, size)
        return
    median = rates[len(rates) // 2] * max(size, LEAST_BYTES)
    assert pace.slow(ran, size) is (ran >= max(LEAST_SECONDS, FACTOR * median))


@given(count=st.integers(1, 3000))
def test_a_run_has_one_hedge_and_no_more_than_one_of_twenty_chunks(count: int) -> None:
    pace = Pace(count)
    taken = sum(pace.take() for _ in range(count + 1))
    assert taken == max(1, count // 20)

"""What is tried again, by whom, how often; and that a sick neighbour gets a trickle, not a storm."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator

import pytest

from libs.common.errors import Unavailable
from libs.common.names import PipelineName
from services.orchestrator.retries.budgets import CAPACITY, TRICKLE_PER_SECOND
from services.orchestrator.retries.causes import ErrorClass, Neighbour
from services.orchestrator.retries.pauses import STEP
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import LimitsSpec, PipelineSpec, TargetSpec
from services.orchestrator.warehouse.memory_warehouse import Lost, MemoryWarehouse
from services.orchestrator.workers.memory_workers import MemoryWorker
from services.orchestrator.workers.stream_pace import BURST
from services.orchestrator.workers.workers import Assignment, Beat, ChunkFailed, WorkerGone
from tests.support.virtual_time import in_virtual_time
from tests.unit.orchestrator.conductor.virtual import Paced, ended, landed_of, seconds, world_of
from tests.unit.orchestrator.conductor.world import spec

RUNS = 200
SICK_SECONDS = 300.0
WAITING = 100
"""Chunks that wait for one neighbour: five times what its budget lets go at once."""


@dataclasses.dataclass(slots=True)
class Sick(MemoryWarehouse):
    """Answers nobody before a moment."""

    well: float = SICK_SECONDS
    asked: list[float] = dataclasses.field(default_factory=list)

    async def _before(self, name: str) -> None:
        self.asked.append(seconds())
        if seconds() < self.well:
            raise Lost(f"{name}: away")
        await MemoryWarehouse._before(self, name)


def pipeline(number: int) -> PipelineSpec:
    target = TargetSpec(dataset="raw_bill", table=f"bills{number}")
    return spec().model_copy(update={"pipeline": f"p_{number}", "target": target})


async def storm() -> tuple[Sick, float, int]:
    """Start 200 runs against a warehouse that is away; return it, the end, and counted retries."""
    warehouse = Sick()
    made, _ = world_of(1, warehouse=warehouse)
    async with made.orchestrator() as o:
        runs = [
            await o.start(
                pipeline(n),
                pipeline=PipelineName("acme_corp", f"p_{n}"),
                share=r.Share(live_run_count=RUNS),
            )
            for n in range(RUNS)
        ]
        await asyncio.sleep(SICK_SECONDS - 1)
        retries = o.conductor.mesh.retries
        counted = retries.counts[Neighbour.WAREHOUSE, ErrorClass.TRANSIENT]
        assert retries.budgets.left(Neighbour.WAREHOUSE) == 0
        assert retries.budgets.waiting(Neighbour.WAREHOUSE) > RUNS / 2
        for run in runs:
            await ended(o, run, within=120)
    assert all(len(made.published(pipeline(n))) == 1 for n in range(RUNS))
    return warehouse, seconds(), counted


def test_a_warehouse_that_fails_200_runs_is_asked_once_a_second_and_no_run_is_lost() -> None:
    warehouse, end, counted = in_virtual_time(storm())
    sick = [moment for moment in warehouse.asked if moment < SICK_SECONDS]
    again = sick[RUNS:]
    assert len(again) <= CAPACITY + SICK_SECONDS * TRICKLE_PER_SECOND
    assert len(again) - 2 <= counted <= len(again)
    trickle = again[CAPACITY:]
    assert len(trickle) > SICK_SECONDS / 2
    for begin in trickle:
        within = sum(begin <= moment < begin + 10 for moment in trickle)
        assert within <= 10 * TRICKLE_PER_SECOND + 1
    assert end < SICK_SECONDS + 60


@dataclasses.dataclass(slots=True, eq=False)
class Falling(Paced):
    """Falls silent in its first chunk and finishes it all the same, once it is told to."""

    told: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    late: list[r.Landed] = dataclasses.field(default_factory=list)
    tasks: list[asyncio.Task[None]] = dataclasses.field(default_factory=list)

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        if self.tasks:
            async for event in Paced.ingest(self, assignment):
                yield event
            return
        self.seen.append(assignment)
        self.tasks.append(asyncio.create_task(self._finish(assignment)))
        yield Beat(slot_count=2)
        await asyncio.Event().wait()

    async def _finish(self, assignment: Assignment) -> None:
        await self.told.wait()
        self.late.append(self._land(assignment))


def test_a_worker_that_was_given_up_and_answers_after_the_second_attempt_changes_nothing() -> None:
    async def told() -> None:
        made, course = world_of(2)
        falling = Falling("w1", made.source, made.warehouse, course=course)
        made.workers[0] = falling
        course.later["1.csv"] = 60.0
        async with made.orchestrator() as o:
            run = await o.start()
            await asyncio.sleep(20)
            now = o.commands.find(run.name)
            second = landed_of(now, "0.csv")
            assert now.state is RunState.INGESTING
            falling.told.set()
            done = await ended(o, run, within=120)
        (late,) = falling.late
        assert second.chunk_attempt > late.chunk_attempt
        assert landed_of(done, "0.csv") == second
        assert second.try_count == 2
        assert late.stream in made.warehouse.streams
        assert late.stream not in made.warehouse.committed
        assert made.published() == [("0.csv", "0"), ("1.csv", "1")]

    in_virtual_time(told())


@dataclasses.dataclass(slots=True, eq=False)
class Confused(MemoryWorker):
    """Ends its first try without an answer, and begins the next one with that answer."""

    unsaid: list[r.Landed] = dataclasses.field(default_factory=list)

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        self.seen.append(assignment)
        yield Beat(slot_count=2)
        if not self.unsaid:
            self.unsaid.append(self._land(assignment))
            raise WorkerGone(f"worker {self.address} died", refused=False)
        yield self.unsaid[0]
        yield self._land(assignment)


def test_a_result_that_names_another_try_is_ignored() -> None:
    async def told() -> None:
        made, _ = world_of(1)
        confused = Confused("w1", made.source, made.warehouse)
        made.workers = [confused]
        async with made.orchestrator() as o:
            done = await ended(o, await o.start(), within=60)
        first, second = (a.chunk_attempt for a in confused.seen)
        assert confused.unsaid[0].chunk_attempt == first
        assert landed_of(done, "0.csv").chunk_attempt == second
        assert made.published() == [("0.csv", "0")]

    in_virtual_time(told())


@dataclasses.dataclass(slots=True, eq=False)
class Unreached(Paced):
    """Nobody is there before a moment."""

    there: float = 90.0
    missed: list[float] = dataclasses.field(default_factory=list)

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        if seconds() < self.there:
            self.missed.append(seconds())
            raise WorkerGone(f"worker {self.address} cannot be reached", refused=False)
        async for event in Paced.ingest(self, assignment):
            yield event


def test_workers_that_are_all_away_for_long_cost_no_attempt() -> None:
    async def told() -> None:
        made, _ = world_of(3)
        workers = [Unreached(f"w{i}", made.source, made.warehouse) for i in (1, 2)]
        made.workers = [*workers]
        async with made.orchestrator() as o:
            done = await ended(o, await o.start(), within=200)
        assert sum(len(worker.missed) for worker in workers) > 3 * done.spec.limits.chunk_attempts
        assert {landed.try_count for landed in done.landed.values()} == {1}

    in_virtual_time(told())


@dataclasses.dataclass(slots=True, eq=False)
class Tokenless(Paced):
    """Cannot be asked while auth gives no token."""

    away: int = 0

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        if self.away:
            self.away -= 1
            raise Unavailable("no token", reason="AUTH_UNAVAILABLE")
        async for event in Paced.ingest(self, assignment):
            yield event


def test_an_auth_that_is_away_costs_no_attempt_and_no_other_chunk_its_work() -> None:
    async def told() -> None:
        made, course = world_of(2)
        course.later["0.csv"] = 60.0
        tokenless = Tokenless("w2", made.source, made.warehouse, course=course, away=6)
        made.workers[1] = tokenless
        async with made.orchestrator() as o:
            done = await ended(o, await o.start(), within=200)
            retries = o.conductor.mesh.retries
        assert tokenless.away == 0
        assert retries.counts[Neighbour.AUTH, ErrorClass.TRANSIENT] == 6
        assert [len(course.tries(name)) for name in ("0.csv", "1.csv")] == [1, 1]
        assert landed_of(done, "1.csv").try_count == 1

    in_virtual_time(told())


@dataclasses.dataclass(slots=True, eq=False)
class Cut(Paced):
    """Cannot have a chunk written before a moment: auth gives no token, or BigQuery no stream."""

    lacks: Exception = dataclasses.field(default_factory=Exception)
    well: float = 60.0

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        if seconds() < self.well:
            raise self.lacks
        async for event in Paced.ingest(self, assignment):
            yield event


@pytest.mark.parametrize(
    "lacks",
    [
        Unavailable("no token", reason="AUTH_UNAVAILABLE"),
        ChunkFailed(
            r.Failure(kind="platform", reason="WAREHOUSE_UNAVAILABLE", message="m", advice=""),
            transient=True,
        ),
    ],
)
def test_chunks_that_are_done_let_those_go_that_wait_for_auth_or_for_streams(
    lacks: Exception,
) -> None:
    async def told() -> None:
        made, _ = world_of(WAITING)
        made.workers = [
            Cut(f"w{i}", made.source, made.warehouse, lacks=lacks) for i in range(WAITING)
        ]
        parallel = LimitsSpec(max_parallel_chunks=WAITING)
        direct = spec(mode="append", on_failure="fail").model_copy(update={"limits": parallel})
        async with made.orchestrator() as o:
            done = await ended(o, await o.start(direct), within=600)
        assert done.plan is not None
        assert done.plan.direct
        assert seconds() < 60 + STEP.longest_seconds + 15

    in_virtual_time(told())


@pytest.mark.parametrize(
    "lacks",
    [
        WorkerGone("worker w1 is full", refused=True),
        Unavailable("no token", reason="AUTH_UNAVAILABLE"),
    ],
)
def test_a_try_that_no_worker_has_taken_uses_up_no_stream_of_the_hour(lacks: Exception) -> None:
    async def told() -> None:
        made, course = world_of(6)
        made.streams_per_hour = 50
        made.workers = [
            Cut(f"w{i}", made.source, made.warehouse, course=course, lacks=lacks, well=20.0)
            for i in (1, 2)
        ]
        async with made.orchestrator() as o:
            await ended(o, await o.start(), within=3600)
            assert o.conductor.mesh.dispatcher.streams().ready_count >= 50 * BURST - 6
        assert len(course.began) == 6
        assert seconds() < 20 + STEP.longest_seconds + 10

    in_virtual_time(told())


def test_a_commit_that_fails_for_a_moment_throws_no_chunk_away() -> None:
    async def told() -> None:
        made, course = world_of(2)
        course.later["1.csv"] = 60.0
        made.warehouse.fail["commit_staged"] = 4
        async with made.orchestrator() as o:
            await ended(o, await o.start(), within=200)
        assert made.warehouse.fail["commit_staged"] == 0
        assert [len(course.tries(name)) for name in ("0.csv", "1.csv")] == [1, 1]

    in_virtual_time(told())


@dataclasses.dataclass(slots=True, eq=False)
class Streamless(Paced):
    """Says of every chunk before a moment that BigQuery does not answer."""

    there: float = 90.0

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        if seconds() < self.there:
            self.course.began.append((seconds(), assignment.chunk.input_id, self.address))
            yield Beat(slot_count=2)
            raise ChunkFailed(
                r.Failure(kind="platform", reason="WAREHOUSE_UNAVAILABLE", message="m", advice=""),
                transient=True,
                retry_after=2.0,
            )
        async for event in Paced.ingest(self, assignment):
            yield event


async def streamless(there: float) -> tuple[Run, int]:
    """Run one chunk at workers that get no stream before a moment; return the run and its tries."""
    made, course = world_of(1)
    made.workers = [
        Streamless(f"w{i}", made.source, made.warehouse, course=course, there=there) for i in (1, 2)
    ]
    async with made.orchestrator() as o:
        run = await o.start()
        async with asyncio.timeout(3600):
            while not (now := o.commands.find(run.name)).resting:
                await asyncio.sleep(1.0)
    return now, len(course.tries("0.csv"))


def test_a_bigquery_that_is_away_from_workers_uses_up_no_attempt_of_a_chunk() -> None:
    done, tries = in_virtual_time(streamless(90.0))
    assert done.state is RunState.SUCCEEDED
    assert tries > 2 * done.spec.limits.chunk_attempts
    assert landed_of(done, "0.csv").try_count == tries


def test_a_bigquery_that_stays_away_from_workers_ends_the_run_after_the_tries_of_a_step() -> None:
    done, tries = in_virtual_time(streamless(100_000.0))
    assert done.failure is not None
    assert (done.state, done.failure.reason) == (RunState.FAILED, "WAREHOUSE_UNAVAILABLE")
    assert tries == STEP.tries


@pytest.mark.parametrize(
    ("reason", "kind"), [("SOURCE_UNAVAILABLE", "source"), ("INTERNAL", "platform")]
)
def test_a_chunk_is_tried_at_another_worker_first_and_as_late_as_it_was_asked(
    reason: str, kind: str
) -> None:
    async def told() -> None:
        made, course = world_of(1)
        failure = r.Failure.model_validate(
            {"kind": kind, "reason": reason, "message": "m", "advice": ""}
        )

        @dataclasses.dataclass(slots=True, eq=False)
        class Failing(Paced):
            async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
                if not course.began:
                    course.began.append((seconds(), assignment.chunk.input_id, self.address))
                    raise ChunkFailed(failure, transient=True, retry_after=25.0)
                async for event in Paced.ingest(self, assignment):
                    yield event

        made.workers = [
            Failing(f"w{i}", made.source, made.warehouse, course=course) for i in (1, 2)
        ]
        async with made.orchestrator() as o:
            await ended(o, await o.start(), within=60)
        assert sorted(course.tries("0.csv")) == ["w1", "w2"]
        (before, _, _), (after, _, _) = course.began
        assert 25.0 <= after - before <= 25.5

    in_virtual_time(told())

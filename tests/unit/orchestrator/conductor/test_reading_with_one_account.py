"""Chunks of all runs that read with one account share what its provider takes, and its rest."""

import asyncio
import dataclasses

import pytest

from libs.common.errors import Unavailable
from libs.common.names import PipelineName, RunName
from services.orchestrator.conductor.planning import ask_worker
from services.orchestrator.retries.pauses import LONGEST_ASKED_SECONDS
from services.orchestrator.runs import records as r
from services.orchestrator.runs.states import RunState
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import LimitsSpec, OpenAiOptions, PipelineSpec
from services.orchestrator.workers.memory_workers import Item, MemoryWorker
from services.orchestrator.workers.workers import Assignment, ChunkFailed, Planned
from tests.support.virtual_time import in_virtual_time
from tests.unit.orchestrator.conductor.virtual import ended, seconds, world_of
from tests.unit.orchestrator.conductor.world import PIPELINE, World, spec

PER_MINUTE = 400.0
LIMITED = r.Failure(kind="quota", reason="SOURCE_RATE_LIMITED", message="429", advice="")


def reading(name: PipelineName, *, secret: str = "key") -> PipelineSpec:
    """A pipeline that reads reports with a tenant's secret."""
    plain = spec(mode="append")
    options = OpenAiOptions(reports=("costs",), requests_per_minute=PER_MINUTE)
    source = plain.source.model_copy(update={"options": options, "secret": secret})
    target = plain.target.model_copy(update={"table": f"{name.pipeline}"})
    update = {
        "source": source,
        "target": target,
        "tenant": name.tenant,
        "pipeline": name.pipeline,
    }
    return plain.model_copy(update=update)


def world() -> World:
    made = World()
    for number in range(2):
        made.source.inputs[f"{number}"] = [Item(scope=f"{number}", money=("1",))]
    return made


async def test_chunks_of_runs_with_one_account_have_no_more_than_it_and_other_accounts_are_apart() -> (
    None
):
    made, seen = world(), list[Assignment]()
    for worker in made.workers:
        worker.seen = seen
    gate = made.hang()
    first, second = PipelineName("acme_corp", "p_1"), PipelineName("acme_corp", "p_2")
    others = PipelineName("widgetsinc", "p_1")
    async with made.orchestrator() as o:
        runs = [await o.start(reading(name), pipeline=name) for name in (first, second)]
        async with asyncio.timeout(5):
            while len(seen) < 4:
                await asyncio.sleep(0)
        shares = [assignment.requests_per_minute for assignment in seen]
        assert sum(shares) <= PER_MINUTE
        assert min(shares) >= PER_MINUTE / 8
        gate.set()
        runs.append(await o.start(reading(others), pipeline=others))
        for run in runs:
            assert (await o.rest(run)).state is not RunState.FAILED
        assert {a.requests_per_minute > 0 for a in seen} == {True}
        assert o.conductor.mesh.dispatcher.accounts.standings() == []


def limited() -> World:
    """A world in virtual time, whose workers are asked once to come back in more than an hour."""
    made, _ = world_of(2)
    made.workers = [
        MemoryWorker(
            f"w{i}",
            made.source,
            made.warehouse,
            failures=[ChunkFailed(LIMITED, transient=True, retry_after=5000.0)],
        )
        for i in (1, 2)
    ]
    return made


def test_a_provider_that_asks_one_run_to_wait_is_left_alone_by_others_with_the_account() -> None:
    first, same = PipelineName("acme_corp", "p_1"), PipelineName("acme_corp", "p_2")
    other = PipelineName("acme_corp", "p_3")

    async def told() -> None:
        async with limited().orchestrator() as o:
            await o.start(reading(first), pipeline=first)
            await asyncio.sleep(10)
            waiting = await o.start(reading(same), pipeline=same)
            free = await o.start(reading(other, secret="another"), pipeline=other)
            await ended(o, free, within=60)
            (account,) = o.conductor.mesh.dispatcher.accounts.standings()
            assert (account.account, account.resting) == ("acme_corp/key", True)
            assert o.commands.find(waiting.name).state is RunState.PLANNING
            await ended(o, waiting, within=LONGEST_ASKED_SECONDS)
            assert LONGEST_ASKED_SECONDS < seconds() < LONGEST_ASKED_SECONDS + 60

    in_virtual_time(told())


def test_a_run_that_waits_for_its_account_to_be_planned_ends_with_its_time() -> None:
    first, same = PipelineName("acme_corp", "p_1"), PipelineName("acme_corp", "p_2")

    async def told() -> None:
        async with limited().orchestrator() as o:
            await o.start(reading(first), pipeline=first)
            await asyncio.sleep(10)
            brief = reading(same).model_copy(update={"limits": LimitsSpec(timeout_seconds=60)})
            waiting = await o.start(brief, pipeline=same)
            await asyncio.sleep(59)
            assert o.commands.find(waiting.name).state is RunState.PLANNING
            await asyncio.sleep(2)
            late = o.commands.find(waiting.name)
            assert late.state is RunState.FAILED
            assert late.failure is not None
            assert late.failure.reason == "RUN_TIMED_OUT"

    in_virtual_time(told())


@dataclasses.dataclass(slots=True, eq=False)
class Planner(MemoryWorker):
    """Notes who was asked to plan, and when; is away the first `away` times."""

    away: int = 0
    asked: list[tuple[str, float]] = dataclasses.field(default_factory=list)

    async def plan(
        self, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
    ) -> Planned:
        self.asked.append((self.address, seconds()))
        if self.away:
            self.away -= 1
            raise Unavailable(f"worker {self.address} is away")
        return await MemoryWorker.plan(self, parent, spec, window)


EARNED_SECONDS = 60 / (PER_MINUTE / 2)
"""How long a plan of one request waits for it, alone with its account."""


def planners(*, away: int = 0) -> tuple[World, list[tuple[str, float]]]:
    """A world in virtual time, and who was asked to plan in it; the first worker is away at first."""
    made, _ = world_of(1)
    asked = list[tuple[str, float]]()
    made.workers = [
        Planner("w1", made.source, made.warehouse, away=away, asked=asked),
        Planner("w2", made.source, made.warehouse, asked=asked),
    ]
    return made, asked


def test_who_plans_is_chosen_when_the_requests_of_the_plan_are_earned() -> None:
    async def told() -> None:
        made, asked = planners()
        async with made.orchestrator() as o:
            mesh = o.conductor.mesh
            planning = asyncio.create_task(ask_worker(mesh, PIPELINE, reading(PIPELINE), None))
            await asyncio.sleep(EARNED_SECONDS / 2)
            async with mesh.dispatcher.seat("acme_corp", order=(0,), share=r.Share()) as seat:
                assert seat.worker.address == "w1"
                mesh.dispatcher.rest(seat)
            await planning
        ((worker, at),) = asked
        assert (worker, round(at, 6)) == ("w2", EARNED_SECONDS)

    in_virtual_time(told())


def test_a_worker_that_plans_for_another_makes_requests_that_were_earned_anew() -> None:
    async def told() -> None:
        made, asked = planners(away=1)
        async with made.orchestrator() as o:
            await ask_worker(o.conductor.mesh, PIPELINE, reading(PIPELINE), None)
        assert [worker for worker, _ in asked] == ["w1", "w2"]
        assert [at for _, at in asked] == pytest.approx([EARNED_SECONDS, 2 * EARNED_SECONDS])

    in_virtual_time(told())

"""Chunks of all runs that read with one account share what its provider takes, and its rest."""

import asyncio

from libs.common.names import PipelineName
from services.orchestrator.runs import records as r
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import OpenAiOptions, PipelineSpec
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import Assignment, ChunkFailed
from tests.unit.orchestrator.conductor.world import World, spec

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


async def test_a_provider_that_asks_one_run_to_wait_is_left_alone_by_others_with_the_account() -> (
    None
):
    made = world()
    made.workers[0].failures = [ChunkFailed(LIMITED, transient=True, retry_after=5000.0)]
    made.workers[1].failures = [ChunkFailed(LIMITED, transient=True, retry_after=5000.0)]
    limited, same = PipelineName("acme_corp", "p_1"), PipelineName("acme_corp", "p_2")
    other = PipelineName("acme_corp", "p_3")
    async with made.orchestrator() as o:
        await o.start(reading(limited), pipeline=limited)
        for _ in range(200):
            await asyncio.sleep(0)
        waiting = await o.start(reading(same), pipeline=same)
        free = await o.start(reading(other, secret="another"), pipeline=other)
        assert (await o.rest(free)).state is not RunState.FAILED
        (account,) = o.conductor.mesh.dispatcher.accounts.standings()
        assert (account.account, account.resting) == ("acme_corp/key", True)
        assert o.commands.find(waiting.name).state is RunState.PLANNING

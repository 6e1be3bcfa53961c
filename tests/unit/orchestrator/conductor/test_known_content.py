"""Content that is known under another name is never counted twice without a person knowing it."""

import asyncio
import dataclasses

import pytest

from services.orchestrator.conductor.planning import SourceChanged
from services.orchestrator.runs import records
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import PIPELINE, Orchestrator, World, spec

REPLACE, APPEND = spec(), spec(mode="append")
DIRECT = spec(mode="append", on_failure="fail")
OTHER = PIPELINE.run("other")
ONE = ("1.5", "2.25")
STAGED = pytest.mark.parametrize("wanted", [REPLACE, APPEND], ids=["replace", "append"])


def named(name: str, *, held: bool = False) -> dict[str, list[Item]]:
    """An input with the content that all have here, and a row that holds its run."""
    good = [Item(scope=name, money=(money,)) for money in ONE]
    return {name: [*good, Item(scope=name, money=("9.99",), bad=True)] if held else good}


async def one_after_the_other(made: World, o: Orchestrator, wanted: PipelineSpec) -> list[Run]:
    """Have two runs HELD, which read the same content under two names."""
    runs = []
    for name in ("a.csv", "b.csv"):
        made.source.inputs = named(name, held=True)
        runs.append(await o.finish(wanted))
    assert [run.state for run in runs] == [RunState.HELD] * 2
    return runs


async def beside(o: Orchestrator, first: Run) -> Run:
    """Start another run beside a live one, as a run for another window would be."""
    detail = first.created.model_copy(update={"request_id": "another"})
    run = await o.conductor.mesh.record(dataclasses.replace(first, name=OTHER), detail)
    o.conductor.start(run)
    return run


@STAGED
async def test_content_published_meanwhile_under_another_name_cannot_be_approved_unseen(
    wanted: PipelineSpec,
) -> None:
    made = World()
    async with made.orchestrator() as o:
        first, second = await one_after_the_other(made, o, wanted)
        await o.approve(first)
        await o.until(first, RunState.SUCCEEDED)
        for _ in range(2):
            with pytest.raises(SourceChanged) as refused:
                await o.approve(second)
        assert refused.value.metadata == {"source": "b.csv"}
        assert f"same content as a.csv, which {first.name} has published" in str(refused.value)
        assert o.commands.find(second.name).state is RunState.HELD
    assert made.published() == [("a.csv", money) for money in ONE]


@STAGED
async def test_a_run_that_is_held_for_known_content_may_be_approved(wanted: PipelineSpec) -> None:
    made = World()
    made.source.inputs = named("a.csv")
    async with made.orchestrator() as o:
        first = await o.finish(wanted)
        made.source.inputs = named("b.csv")
        second = await o.finish(wanted)
        assert second.held is not None
        assert second.held.reasons == (
            f"b.csv has the same content as a.csv, which {first.name} has published",
        )
        await o.approve(second)
        await o.until(second, RunState.SUCCEEDED)
    assert len(made.published()) == 4


@STAGED
async def test_content_published_while_a_run_reads_it_under_another_name_holds_the_run(
    wanted: PipelineSpec,
) -> None:
    made = World()
    async with made.orchestrator() as o:
        first, second = await one_after_the_other(made, o, wanted)
        gate = made.hang()
        made.source.inputs = named("c.csv", held=True)
        third = await o.start(wanted)
        await o.until(third, RunState.INGESTING)
        await o.approve(first)
        await o.until(first, RunState.SUCCEEDED)
        gate.set()
        third = await o.rest(third)
        assert third.held is not None
        assert third.held.reasons[1:] == (
            f"c.csv has the same content as a.csv, which {first.name} has published",
        )
        await o.approve(third)
        await o.until(third, RunState.SUCCEEDED)
        assert o.commands.find(second.name).state is RunState.HELD
    assert len(made.published()) == 4


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [(APPEND, None), (DIRECT, "HOLD_NOT_POSSIBLE")],
    ids=["append", "direct"],
)
async def test_content_published_between_audit_and_intent_is_known_too(
    wanted: PipelineSpec, reason: str | None
) -> None:
    made = World()
    made.source.inputs = named("a.csv")
    async with made.orchestrator() as o:
        made.warehouse.fail.update(publish=1_000_000, commit_target=1_000_000)
        first = await o.start(wanted)
        await o.until(first, RunState.PUBLISHING)
        made.source.inputs = named("b.csv")
        second = await beside(o, first)
        await o.until(second, RunState.AUDITING)
        async with asyncio.timeout(5):
            while not o.commands.find(second.name).audited:
                await asyncio.sleep(0)
        made.warehouse.fail.clear()
        await o.until(first, RunState.SUCCEEDED)
        second = await o.rest(second)
    assert second.state is (RunState.FAILED if reason else RunState.HELD)
    assert (second.failure and second.failure.reason) == reason
    assert made.published() == [("a.csv", money) for money in ONE]


@STAGED
async def test_one_content_under_two_names_in_one_run_is_held(wanted: PipelineSpec) -> None:
    made = World.of(c_csv=[Item(scope="c.csv", money=("7",))])
    made.source.inputs |= named("a.csv") | named("b.csv")
    async with made.orchestrator() as o:
        run = await o.finish(wanted)
        assert run.held is not None
        assert run.held.reasons == (
            "b.csv has the same content as a.csv, which this run reads too",
        )
        await o.approve(run)
        await o.until(run, RunState.SUCCEEDED)


@STAGED
async def test_the_same_content_in_files_that_manifests_name_holds_no_run(
    wanted: PipelineSpec,
) -> None:
    made = World()
    async with made.orchestrator() as o:
        for month, names in {"10": ("a.csv", "b.csv"), "11": ("c.csv",)}.items():
            made.source.inputs = {k: v for name in names for k, v in named(name).items()}
            made.source.deliveries = {month: names}
            run = await o.finish(wanted)
            assert run.state is RunState.SUCCEEDED


def test_a_chunk_that_was_journaled_without_a_delivery_has_none() -> None:
    old = {"chunk_id": "1", "input_id": "a.csv", "content_hash": "h", "message": "{}"}
    assert records.Chunk.model_validate(old).delivery == ""


async def test_two_files_without_rows_hold_no_run() -> None:
    made = World.of(b_csv=[], c_csv=[])
    made.source.inputs |= named("a.csv")
    async with made.orchestrator() as o:
        run = await o.finish(APPEND)
    assert run.state is RunState.SUCCEEDED

"""RunService over a socket: what becomes of a run, and steering it, with each documented failure."""

from collections.abc import AsyncGenerator
from datetime import UTC, timedelta
from pathlib import Path

import pytest
from convergence.orchestrator.v1 import run_service_pb2 as pb

from services.orchestrator.configs.file_errors import FileError
from services.orchestrator.runs import records as r
from services.orchestrator.runs.reasons import REASONS
from services.orchestrator.warehouse.warehouse import SchemaChanged
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.integration.orchestrator.serving import (
    PIPELINE,
    Edge,
    catalogue_of,
    edge_over,
    state_of,
)
from tests.support.refusals import refused
from tests.unit.orchestrator.conductor.world import NOON, World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",))]
LOST = Item(scope="a.csv", money=("9.99",), bad=True)
FORBIDDEN = r.Failure(
    kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="the worker's own words"
)
BROKEN = FileError(
    file="acme_corp/pipelines/p_bill.yml", line=3, field="x", found="x", allowed="y", advice="z"
)


@pytest.fixture
def world() -> World:
    return World.of(a_csv=ONE)


@pytest.fixture
async def edge(world: World, tmp_path: Path) -> AsyncGenerator[Edge]:
    async with edge_over(world, tmp_path) as running:
        yield running


def fail_next_chunk(world: World) -> None:
    for worker in world.workers:
        worker.failures = [ChunkFailed(FORBIDDEN, transient=False)]


def heal(world: World) -> None:
    for worker in world.workers:
        worker.failures = []


async def test_a_run_that_is_over_has_a_receipt(edge: Edge) -> None:
    run = await edge.finish()
    assert state_of(run) == "SUCCEEDED"
    receipt = run.receipt
    assert (receipt.read_row_count, receipt.landed_row_count) == (2, 2)
    (money,) = receipt.money
    assert (money.column, money.read, money.landed, money.quarantined) == (
        "cost", "3.75", "3.75", "0",
    )  # fmt: skip
    assert list(receipt.inputs) == ["a.csv"]
    assert list(receipt.job_ids) == [f"cvg-acme_corp-{run.name.rpartition('/')[2]}-publish-1"]
    assert (run.progress.chunk_count, run.progress.done_chunk_count) == (1, 1)
    assert run.end_time.ToDatetime(tzinfo=UTC) >= NOON


async def test_a_run_before_publishing_is_stopped_and_stopping_may_be_repeated(
    edge: Edge, world: World
) -> None:
    world.hang()
    run = await edge.create()
    await edge.until(run.name, "INGESTING")
    for reason in ("mistake", "again"):
        asked = pb.CancelRunRequest(name=run.name, reason=reason)
        answer = (await edge.ask("CancelRun", asked)).run
        assert state_of(answer) in {"CANCELLING", "CANCELLED"}
    done = await edge.until(run.name, "CANCELLED")
    assert done.cancel_reason == "mistake"
    assert world.published() == []
    assert sum(worker.stopped for worker in world.workers) == 1


async def test_a_failed_run_is_cancelled_at_once(edge: Edge, world: World) -> None:
    fail_next_chunk(world)
    run = await edge.finish()
    answer = await edge.ask("CancelRun", pb.CancelRunRequest(name=run.name))
    assert state_of(answer.run) == "CANCELLED"


@pytest.mark.parametrize("method", ["CancelRun", "RetryRun", "ApproveRun", "DiscardRun"])
async def test_a_run_that_is_over_can_be_steered_no_more(edge: Edge, method: str) -> None:
    run = await edge.finish()
    with refused("FAILED_PRECONDITION", "RUN_STATE_MISMATCH") as refusal:
        await edge.ask(method, getattr(pb, f"{method}Request")(name=run.name))
    assert refusal.metadata["name"] == run.name
    assert refusal.metadata["state"] == "SUCCEEDED"
    assert (
        refusal.metadata["allowed"]
        == {
            "CancelRun": "AUDITING, FAILED, HELD, INGESTING, PENDING, PLANNING",
            "RetryRun": "FAILED, TRANSFORM_FAILED",
            "ApproveRun": "HELD",
            "DiscardRun": "HELD",
        }[method]
    )


async def test_a_failed_run_goes_on_and_a_repeat_changes_nothing(edge: Edge, world: World) -> None:
    fail_next_chunk(world)
    run = await edge.finish()
    assert (state_of(run), run.failure.reason) == ("FAILED", "SOURCE_FORBIDDEN")
    assert run.failure.advice == REASONS["SOURCE_FORBIDDEN"].advice
    assert run.failure.data_safe
    heal(world)
    for _ in range(2):
        answer = await edge.ask("RetryRun", pb.RetryRunRequest(name=run.name, failed_attempt=1))
        assert answer.run.attempt == 2
    done = await edge.until(run.name, "SUCCEEDED")
    assert not done.HasField("failure")
    assert len(world.published()) == 2


@pytest.mark.parametrize("attempt", [-1, 5])
async def test_an_attempt_that_never_was_is_refused_by_field(
    edge: Edge, world: World, attempt: int
) -> None:
    fail_next_chunk(world)
    run = await edge.finish()
    with refused("INVALID_ARGUMENT", "INVALID_REQUEST") as refusal:
        await edge.ask("RetryRun", pb.RetryRunRequest(name=run.name, failed_attempt=attempt))
    assert refusal.fields == ["failed_attempt"]


async def test_a_retry_counts_against_the_tenants_live_runs(world: World, tmp_path: Path) -> None:
    pipelines = [spec().model_copy(update={"pipeline": f"p_{n}"}) for n in range(21)]
    async with edge_over(world, tmp_path, catalogue=catalogue_of(*pipelines)) as edge:
        fail_next_chunk(world)
        failed = await edge.finish(parent="tenants/acme_corp/pipelines/p_0")
        heal(world)
        world.hang()
        for n in range(1, 21):
            run = await edge.create(parent=f"tenants/acme_corp/pipelines/p_{n}")
            await edge.until(run.name, "PLANNING", "INGESTING")
        with refused("RESOURCE_EXHAUSTED", "TOO_MANY_RUNS") as refusal:
            await edge.ask("RetryRun", pb.RetryRunRequest(name=failed.name))
        assert refusal.metadata == {"tenant": "acme_corp", "limit": "20"}


async def test_a_failed_transform_is_retried_with_the_files_as_they_now_stand(
    world: World, tmp_path: Path
) -> None:
    files = catalogue_of(spec(transforms=1))
    world.warehouse.broken_transforms.add("t0")
    async with edge_over(world, tmp_path, catalogue=files) as edge:
        run = await edge.finish()
        assert state_of(run) == "TRANSFORM_FAILED"
        assert run.receipt.landed_row_count == 2
        files.remove("acme_corp", "p_bill")
        files.put_broken("acme_corp", "p_bill", BROKEN, at=NOON)
        with refused("FAILED_PRECONDITION", "CONFIG_INVALID") as refusal:
            await edge.ask("RetryRun", pb.RetryRunRequest(name=run.name))
        assert refusal.metadata == {"name": PIPELINE}
        files.put(spec(transforms=2), at=NOON)
        world.warehouse.broken_transforms.clear()
        await edge.ask("RetryRun", pb.RetryRunRequest(name=run.name, failed_attempt=1))
        done = await edge.until(run.name, "SUCCEEDED")
    assert [t.transform for t in done.receipt.transforms] == ["t0", "t1"]


async def test_results_keep_the_attempt_that_was_judged_when_only_transforms_are_retried(
    world: World, tmp_path: Path
) -> None:
    world.judge.results = (
        r.Result(
            rule_id="r1",
            expectation_type="expect_table_row_count_to_be_between",
            column="",
            kwargs="{}",
            success=True,
            severity="critical",
            element_count=2,
            missing_count=0,
        ),
    )
    world.warehouse.broken_transforms.add("t0")
    async with edge_over(world, tmp_path, catalogue=catalogue_of(spec(transforms=1))) as edge:
        run = await edge.finish()
        world.warehouse.broken_transforms.clear()
        await edge.ask("RetryRun", pb.RetryRunRequest(name=run.name, failed_attempt=1))
        done = await edge.until(run.name, "SUCCEEDED")
        answer = await edge.ask("ListRunResults", pb.ListRunResultsRequest(parent=run.name))
    assert done.attempt == 2
    assert [(one.rule_id, one.attempt) for one in answer.results] == [("r1", 1)]


@pytest.mark.parametrize(
    ("method", "end", "rows"), [("ApproveRun", "SUCCEEDED", 2), ("DiscardRun", "CANCELLED", 0)]
)
async def test_a_held_run_is_published_or_thrown_away_and_asking_may_be_repeated(
    edge: Edge, world: World, method: str, end: str, rows: int
) -> None:
    world.source.inputs["a.csv"] = [*ONE, LOST]
    run = await edge.finish()
    assert state_of(run) == "HELD"
    assert run.hold_expire_time.ToDatetime(tzinfo=UTC) > NOON + timedelta(days=6)
    (reason,) = run.hold_reasons
    assert "9.99 of cost" in reason
    assert await edge.get(run.name) == await edge.get(run.name) == run
    for _ in range(2):
        await edge.ask(method, getattr(pb, f"{method}Request")(name=run.name, reason="seen"))
    await edge.until(run.name, end)
    again = await edge.ask(method, getattr(pb, f"{method}Request")(name=run.name))
    assert state_of(again.run) == end
    assert len(world.published()) == rows


async def test_a_merge_into_a_table_that_has_a_key_twice_cannot_be_approved(
    world: World, tmp_path: Path
) -> None:
    files = catalogue_of(spec(mode="append"))
    async with edge_over(world, tmp_path, catalogue=files) as edge:
        await edge.finish()
        files.put(spec(mode="merge"), at=NOON)
        world.source.inputs["a.csv"] = [*ONE, LOST]
        held = await edge.finish()
        with refused("FAILED_PRECONDITION", "KEY_NOT_UNIQUE") as refusal:
            await edge.ask("ApproveRun", pb.ApproveRunRequest(name=held.name))
        assert refusal.metadata["rowCount"] == "2"
        assert state_of(await edge.get(held.name)) == "HELD"
    assert len(world.published()) == 2


async def test_a_held_run_whose_table_has_other_columns_by_now_cannot_be_approved(
    edge: Edge, world: World
) -> None:
    world.source.inputs["a.csv"] = [*ONE, LOST]
    held = await edge.finish()
    changed = SchemaChanged(
        "cost is gone", table="t", column="cost", found="none", wanted="NUMERIC"
    )
    world.warehouse.errors["check_columns"] = [changed]
    with refused("FAILED_PRECONDITION", "SCHEMA_CHANGED") as refusal:
        await edge.ask("ApproveRun", pb.ApproveRunRequest(name=held.name))
    assert (refusal.metadata["found"], refusal.metadata["wanted"]) == ("none", "NUMERIC")
    assert state_of(await edge.get(held.name)) == "HELD"
    await edge.ask("ApproveRun", pb.ApproveRunRequest(name=held.name))
    await edge.until(held.name, "SUCCEEDED")

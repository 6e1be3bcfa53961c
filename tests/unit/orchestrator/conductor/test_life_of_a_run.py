"""Runs from creation to their end, over fake neighbours that fail on request."""

import asyncio
import re
from datetime import timedelta

import pytest

from libs.common.errors import Unavailable
from services.orchestrator.conductor.answers import RequestIdReused
from services.orchestrator.conductor.commands import RunAlreadyActive
from services.orchestrator.runs import records as r
from services.orchestrator.runs.receipts import receipt_of
from services.orchestrator.runs.run import IllegalMove
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.unit.orchestrator.conductor.world import World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",))]
TWO = [Item(scope="b.csv", money=("7",))]


async def test_a_replace_publishes_every_row_once_and_says_so_in_its_receipt() -> None:
    made = World.of(a_csv=ONE, b_csv=TWO)
    async with made.orchestrator() as o:
        run = await o.finish()
    assert run.state is RunState.SUCCEEDED
    assert made.published() == [("a.csv", "1.5"), ("a.csv", "2.25"), ("b.csv", "7")]
    receipt = receipt_of(run)
    assert receipt is not None
    assert (receipt.read_row_count, receipt.landed_row_count) == (3, 3)
    assert f"{receipt.money[0].landed:f}" == "10.75"
    assert made.warehouse.staging(run) not in made.warehouse.tables


async def test_a_second_look_replaces_the_scope_and_says_by_how_much() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        await o.finish()
        made.source.inputs["a.csv"] = [*ONE, Item(scope="a.csv", money=("0.25",))]
        second = await o.finish()
    assert made.published() == [("a.csv", "0.25"), ("a.csv", "1.5"), ("a.csv", "2.25")]
    receipt = receipt_of(second)
    assert receipt is not None
    assert receipt.restatement is not None
    change = receipt.restatement.money[0]
    assert (f"{change.old:f}", f"{change.new:f}") == ("3.75", "4.00")


async def test_append_reads_an_input_once_and_asking_again_succeeds_and_adds_nothing() -> None:
    made = World.of(a_csv=ONE)
    append = spec(mode="append", on_failure="fail")
    async with made.orchestrator() as o:
        first, second = await o.finish(append), await o.finish(append)
    assert [first.state, second.state] == [RunState.SUCCEEDED] * 2
    assert second.plan is not None
    assert second.plan.known_inputs == ("a.csv",)
    assert len(made.published()) == 2


async def test_append_refuses_a_known_name_with_other_content() -> None:
    made = World.of(a_csv=ONE)
    append = spec(mode="append", on_failure="fail")
    async with made.orchestrator() as o:
        await o.finish(append)
        made.source.inputs["a.csv"] = TWO
        second = await o.finish(append)
    assert second.failure is not None
    assert second.failure.reason == "SOURCE_CHANGED"
    assert len(made.published()) == 2


async def test_known_content_under_a_new_name_is_held() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        await o.finish()
        made.source.inputs = {"copy.csv": ONE}
        second = await o.finish()
    assert second.state is RunState.HELD
    assert second.held is not None
    assert "same content as a.csv" in second.held.reasons[0]


async def test_quarantined_money_holds_the_run_and_the_target_stays_as_it_was() -> None:
    made = World.of(a_csv=[*ONE, Item(scope="a.csv", money=("9.99",), bad=True)])
    async with made.orchestrator() as o:
        run = await o.finish()
        assert run.state is RunState.HELD
        assert run.held is not None
        assert re.search(r"1 quarantined rows carry 9\.99 of cost", run.held.reasons[0])
        assert made.published() == []
        approved = await o.commands.approve(run.name, by="key2", reason="looked at it")
        assert approved.state is RunState.PUBLISHING
        done = await o.until(run, RunState.SUCCEEDED)
    assert done.publishing is not None
    assert done.publishing.by == "key2"
    assert len(made.published()) == 2


async def test_quarantined_money_that_adds_up_to_nothing_holds_the_run() -> None:
    bad = [Item(scope="b.csv", money=(text,), bad=True) for text in ("5", "-5", "0")]
    made = World.of(a_csv=[*ONE, bad[0]], b_csv=[Item(scope="b.csv", money=("7",)), *bad[1:]])
    async with made.orchestrator() as o:
        run = await o.finish()
    assert run.state is RunState.HELD
    assert run.held is not None
    assert run.held.reasons == (
        "2 quarantined rows carry 0 of cost; see `convergence runs quarantine`",
    )
    assert made.published() == []


async def test_quarantined_rows_without_money_hold_nothing() -> None:
    made = World.of(a_csv=[*ONE, Item(scope="a.csv", money=("0",), bad=True)])
    async with made.orchestrator() as o:
        run = await o.finish()
    assert run.state is RunState.SUCCEEDED


async def test_a_discarded_run_leaves_nothing_behind() -> None:
    made = World.of(a_csv=[Item(scope="a.csv", money=("9",), bad=True)])
    async with made.orchestrator() as o:
        run = await o.finish()
        await o.commands.discard(run.name, by="key2", reason="wrong file")
        done = await o.until(run, RunState.CANCELLED)
        again = await o.commands.discard(run.name, by="key2", reason="wrong file")
    assert again.state is RunState.CANCELLED
    assert made.published() == []
    assert made.warehouse.staging(done) not in made.warehouse.tables
    assert made.warehouse.tables[made.warehouse.quarantine(spec())] == []


async def test_a_hold_that_nobody_approves_expires() -> None:
    made = World.of(a_csv=[Item(scope="a.csv", money=("9",), bad=True)])
    async with made.orchestrator() as o:
        run = await o.finish()
        made.clock.now += timedelta(days=8)
        await o.until(run, RunState.CANCELLED)
    assert made.published() == []


async def test_a_shrunken_load_is_held() -> None:
    made = World.of(a_csv=[Item(scope="a.csv", money=(str(n),)) for n in range(1, 6)])
    async with made.orchestrator() as o:
        await o.finish()
        made.source.inputs["a.csv"] = [Item(scope="a.csv", money=("15",))]
        second = await o.finish()
    assert second.state is RunState.HELD
    assert second.held is not None
    assert second.held.reasons == ("a.csv: had 5 rows, has 1 now",)
    assert len(made.published()) == 5


@pytest.mark.parametrize(
    ("on_failure", "state"),
    [("hold", RunState.HELD), ("fail", RunState.FAILED), ("warn", RunState.SUCCEEDED)],
)
async def test_a_failed_expectation_does_what_the_pipeline_says(
    on_failure: str, state: RunState
) -> None:
    made = World.of(a_csv=ONE)
    made.judge.results = (
        r.Result(
            rule_id="x",
            expectation_type="expect_column_values_to_not_be_null",
            column="service",
            kwargs="{}",
            success=False,
            severity="critical",
            element_count=2,
            missing_count=2,
            unexpected_count=2,
        ),
    )
    async with made.orchestrator() as o:
        run = await o.finish(spec(on_failure=on_failure))
    assert run.state is state


async def test_the_same_request_id_gives_the_same_run_and_other_content_is_refused() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        first = await o.start(request=1)
        second = await o.start(request=1)
        assert first.name == second.name
        with pytest.raises(RequestIdReused) as refused:
            await o.start(request=1, reload=True)
        assert refused.value.metadata["differs"] == "reload"
        await o.until(first, RunState.SUCCEEDED)
    async with made.orchestrator() as restarted:
        assert (await restarted.start(request=1)).name == first.name


async def test_a_second_live_run_for_the_same_window_is_refused() -> None:
    made = World.of(a_csv=ONE)
    made.workers[0].hang = made.workers[1].hang = asyncio.Event()
    async with made.orchestrator() as o:
        await o.start()
        with pytest.raises(RunAlreadyActive):
            await o.start()


async def test_a_cancelled_run_stops_its_worker_and_publishes_nothing() -> None:
    made = World.of(a_csv=ONE)
    made.workers[0].hang = made.workers[1].hang = asyncio.Event()
    async with made.orchestrator() as o:
        run = await o.start()
        async with asyncio.timeout(5):
            while not any(worker.seen for worker in made.workers):
                await asyncio.sleep(0)
        await o.commands.cancel(run.name, by="key1", reason="mistake")
        done = await o.until(run, RunState.CANCELLED)
    assert sum(worker.stopped for worker in made.workers) == 1
    assert made.published() == []
    assert done.cancel is not None
    assert done.cancel.reason == "mistake"


async def test_a_published_run_cannot_be_cancelled() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        run = await o.finish()
        with pytest.raises(IllegalMove):
            await o.commands.cancel(run.name, by="key1", reason="")


async def test_a_chunk_whose_worker_dies_is_done_by_another() -> None:
    made = World.of(a_csv=ONE)
    made.workers[0].die = made.workers[1].die = 1
    async with made.orchestrator() as o:
        run = await o.finish()
    assert run.state is RunState.SUCCEEDED
    assert len(made.published()) == 2
    receipt = receipt_of(run)
    assert receipt is not None
    assert receipt.retried_chunk_count == 1


async def test_retry_goes_on_with_the_chunks_that_are_missing() -> None:
    made = World.of(a_csv=ONE, b_csv=TWO)
    failure = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="")
    made.workers[0].failures = [ChunkFailed(failure, transient=False)]
    made.workers[1].hang = asyncio.Event()
    async with made.orchestrator() as o:
        run = await o.finish()
        assert run.state is RunState.FAILED
        made.workers[1].hang.set()
        done_before = set(run.landed)
        again = await o.commands.retry(run.name, failed_attempt=1, by="key1", spec="")
        repeat = await o.commands.retry(run.name, failed_attempt=1, by="key1", spec="")
        assert again.attempt == repeat.attempt == 2
        done = await o.until(run, RunState.SUCCEEDED)
    assert done_before <= set(done.landed)
    assert len(made.published()) == 3


@pytest.mark.parametrize(
    "call",
    ["prepare", "commit_staged", "chunk_counts", "publish", "merge_statement", "publish_transform"],
)
@pytest.mark.parametrize("dial", ["fail", "lose"])
async def test_a_warehouse_that_fails_once_changes_nothing_in_the_end(call: str, dial: str) -> None:
    made = World.of(a_csv=ONE, b_csv=TWO)
    getattr(made.warehouse, dial)[call] = 2
    async with made.orchestrator() as o:
        run = await o.finish(spec(transforms=1))
    assert run.state is RunState.SUCCEEDED
    assert len(made.published()) == 3


async def test_rows_of_streams_that_ended_before_their_commit_are_read_again() -> None:
    made = World.of(a_csv=ONE)
    staged = "memory.acme_corp_staging.bills"
    async with made.orchestrator() as o:
        run = await o.start()
        first_stream = f"{staged}__{run.name.run}/1000001"
        made.warehouse.gone.add(first_stream)
        done = await o.until(run, RunState.SUCCEEDED)
    assert len(made.published()) == 2
    assert done.landed["a.csv@" + made.source.hash_of("a.csv")].stream != first_stream


async def test_a_failed_publishing_job_fails_the_run_and_retry_uses_another_job_id() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        run = await o.start()
        made.warehouse.broken_jobs.add(f"cvg-acme_corp-{run.name.run}-publish-1")
        failed = await o.until(run, RunState.FAILED)
        assert failed.failure is not None
        assert failed.failure.reason == "PUBLISH_FAILED"
        assert made.published() == []
        await o.commands.retry(run.name, failed_attempt=1, by="key1", spec="")
        await o.until(run, RunState.SUCCEEDED)
    assert len(made.published()) == 2


async def test_a_failed_transform_leaves_silver_and_the_next_run_takes_its_scope_along() -> None:
    made = World.of(a_csv=ONE)
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        first = await o.finish(spec(transforms=1))
        assert first.state is RunState.TRANSFORM_FAILED
        assert len(made.published()) == 2
        made.warehouse.broken_transforms.clear()
        made.source.inputs = {"b.csv": TWO}
        second = await o.finish(spec(transforms=1))
        await o.until(first, RunState.SUCCEEDED)
    assert second.transforms["t0"].scope == (("_source", ("a.csv", "b.csv")),)
    assert len(made.warehouse.tables["acme_corp_silver_cost.silver0"]) == 3


async def test_an_older_look_that_is_approved_late_is_superseded() -> None:
    made = World.of(a_csv=[*ONE, Item(scope="a.csv", money=("5",), bad=True)])
    async with made.orchestrator() as o:
        older = await o.finish()
        assert older.state is RunState.HELD
        made.source.inputs["a.csv"] = TWO_IN_A
        newer = await o.finish()
        assert newer.state is RunState.SUCCEEDED
        await o.until(older, RunState.SUPERSEDED)
        with pytest.raises(IllegalMove):
            await o.commands.approve(older.name, by="key2", reason="")
    assert made.published() == [("a.csv", "3"), ("a.csv", "4")]


TWO_IN_A = [Item(scope="a.csv", money=("3",)), Item(scope="a.csv", money=("4",))]


async def test_no_worker_fails_the_run_in_the_end_with_what_to_do() -> None:
    made = World.of(a_csv=ONE)
    for worker in made.workers:
        worker.failures = [Unavailable("nobody there", reason="NO_WORKER")] * 40
    async with made.orchestrator() as o:
        run = await o.finish()
    assert run.failure is not None
    assert run.failure.reason == "NO_WORKER"
    assert "runs retry" in run.failure.advice

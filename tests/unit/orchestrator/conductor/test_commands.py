"""What callers ask: carried out once and whole, whoever leaves, repeats or comes too late."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta

import pytest

from libs.common.errors import FailedPrecondition, InvalidRequest
from libs.common.names import PipelineName
from services.orchestrator.conductor.answers import RequestIdReused
from services.orchestrator.conductor.commands import TooManyRuns
from services.orchestrator.journal.journal import RecordTooLarge
from services.orchestrator.runs import records as r
from services.orchestrator.runs.records import Share
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",))]
HELD = [*ONE, Item(scope="a.csv", money=("9.99",), bad=True)]
FORBIDDEN = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="403", advice="")


def failing(made: World, times: int) -> None:
    """Let the next `times` chunks fail for good."""
    failure = ChunkFailed(FORBIDDEN, transient=False)
    for worker in made.workers:
        worker.failures = [failure] * times


async def leave(made: World, o: Orchestrator, call: Coroutine[None, None, Run]) -> None:
    """Ask, and go away as soon as the decision stands but before it is durable."""
    made.journals.gate = asyncio.Event()
    history = o.conductor.mesh.history
    before = history.ledger.position
    asked = asyncio.ensure_future(call)
    async with asyncio.timeout(5):
        while history.ledger.position == before:
            await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    assert asked.cancelled()
    made.journals.gate.set()


async def test_a_run_whose_creator_left_before_the_answer_is_driven_to_its_end() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        await leave(made, o, o.start())
        (run,) = o.conductor.mesh.history.ledger.runs.values()
        await o.until(run, RunState.SUCCEEDED)
    assert len(made.published()) == 2


async def test_a_retried_run_goes_on_although_nobody_waits_for_the_answer() -> None:
    made = World.of(a_csv=ONE)
    failing(made, 1)
    async with made.orchestrator() as o:
        run = await o.finish()
        assert run.state is RunState.FAILED
        for worker in made.workers:
            worker.failures = []
        await leave(made, o, o.retry(run))
        await o.until(run, RunState.SUCCEEDED)


@pytest.mark.parametrize(
    ("ask", "end"),
    [
        (lambda o, run: o.approve(run), RunState.SUCCEEDED),
        (lambda o, run: o.commands.cancel(run.name, by="k", reason=""), RunState.CANCELLED),
        (lambda o, run: o.commands.discard(run.name, by="k", reason=""), RunState.CANCELLED),
    ],
    ids=["approve", "cancel", "discard"],
)
async def test_a_held_run_follows_a_caller_that_left(
    ask: Callable[[Orchestrator, Run], Coroutine[None, None, Run]], end: RunState
) -> None:
    made = World.of(a_csv=HELD)
    async with made.orchestrator() as o:
        run = await o.finish()
        assert run.state is RunState.HELD
        await leave(made, o, ask(o, run))
        await o.until(run, end)


async def test_of_two_calls_at_once_with_one_request_id_both_get_the_same_run() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        first, second = await asyncio.gather(o.start(request=1), o.start(request=1))
        assert first.name == second.name
        assert len(o.conductor.mesh.history.ledger.runs) == 1


async def test_a_request_id_stands_for_one_run_of_its_tenant_and_another_pipeline_differs() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        first = await o.finish()
        number = int(first.created.request_id.replace("-", ""), 16)
        with pytest.raises(RequestIdReused) as refused:
            await o.start(pipeline=PipelineName("acme_corp", "p_other"), request=number)
        assert refused.value.metadata == {
            "requestId": first.created.request_id,
            "run": str(first.name),
            "differs": "parent",
        }
        other = await o.start(pipeline=PipelineName("widgetsinc", "p_bill"), request=number)
    assert other.name.tenant == "widgetsinc"


async def test_a_late_repeat_of_an_earlier_retry_changes_nothing() -> None:
    made = World.of(a_csv=ONE)
    failing(made, 2)
    async with made.orchestrator() as o:
        run = await o.finish()
        await o.retry(run, failed_attempt=1)
        third = await o.until(run, RunState.FAILED)
        await o.retry(run, failed_attempt=2)
        third = await o.rest(run)
        late = await o.retry(run, failed_attempt=1)
    assert third.attempt == late.attempt == 3
    assert late.state is third.state


@pytest.mark.parametrize("attempt", [-1, 2])
async def test_an_attempt_that_never_was_cannot_be_retried(attempt: int) -> None:
    made = World.of(a_csv=ONE)
    failing(made, 1)
    async with made.orchestrator() as o:
        run = await o.finish()
        with pytest.raises(InvalidRequest) as refused:
            await o.retry(run, failed_attempt=attempt)
        assert refused.value.violations == {
            "failed_attempt": f"found {attempt}; allowed is an attempt of the run, 1 to 1"
        }
        assert o.commands.find(run.name).state is RunState.FAILED


async def test_a_retry_counts_as_a_live_run() -> None:
    made = World.of(a_csv=ONE)
    failing(made, 1)
    async with made.orchestrator() as o:
        failed = await o.finish()
        made.hang()
        await o.until(await o.start(share=Share(live_run_count=1)), RunState.INGESTING)
        with pytest.raises(TooManyRuns) as refused:
            await o.retry(failed)
        assert refused.value.metadata == {"tenant": "acme_corp", "limit": "1"}
        assert o.commands.find(failed.name).state is RunState.FAILED


async def test_a_run_held_again_after_its_publishing_failed_can_be_approved_again() -> None:
    made = World.of(a_csv=HELD)
    async with made.orchestrator() as o:
        run = await o.finish()
        made.warehouse.broken_jobs.add(f"cvg-acme_corp-{run.name.run}-publish-1")
        await o.approve(run)
        await o.until(run, RunState.FAILED)
        await o.retry(run)
        await o.until(run, RunState.HELD)
        assert made.published() == []
        await o.approve(run)
        await o.until(run, RunState.SUCCEEDED)
    assert made.published() == [("a.csv", "1.5"), ("a.csv", "2.25")]


async def test_of_two_approvals_at_once_both_see_the_run_publishing() -> None:
    made = World.of(a_csv=HELD)
    async with made.orchestrator() as o:
        run = await o.finish()
        answers = await asyncio.gather(o.approve(run), o.approve(run))
        assert [answer.state for answer in answers] == [RunState.PUBLISHING] * 2
        await o.until(run, RunState.SUCCEEDED)
    intents = [x for x in made.journals.records if isinstance(x.detail, r.RunPublishing)]
    assert len(intents) == 1


async def test_of_approvals_repeated_after_one_failed_none_forgets_what_others_published() -> None:
    made, append = World.of(a_csv=HELD), spec(mode="append")
    async with made.orchestrator() as o:
        first, second = await o.finish(append), await o.finish(append)
        made.warehouse.errors["merge_statement"] = [FailedPrecondition("no", reason="INTERNAL")]
        answers = await asyncio.gather(
            *(o.approve(run) for run in (first, first, second)), return_exceptions=True
        )
        assert [isinstance(answer, Exception) for answer in answers] == [True, False, False]
        for run in (first, second):
            await o.until(run, RunState.SUCCEEDED)
    assert made.published() == [("a.csv", "1.5"), ("a.csv", "2.25")]
    intents = [x.run for x in made.journals.records if isinstance(x.detail, r.RunPublishing)]
    assert sorted(intents) == sorted([str(first.name), str(second.name)])


async def test_a_run_whose_spec_the_journal_cannot_hold_is_refused_and_leaves_no_trace() -> None:
    made = World.of(a_csv=ONE)
    made.journals.largest_bytes = 1000
    async with made.orchestrator() as o:
        with pytest.raises(RecordTooLarge) as refused:
            await o.start()
        assert refused.value.metadata["allowed"] == "1000"
        assert o.conductor.mesh.history.ledger.runs == {}
        made.journals.largest_bytes = 1_000_000
        assert (await o.finish()).state is RunState.SUCCEEDED


async def test_a_plan_that_the_journal_cannot_hold_fails_its_run_and_no_other() -> None:
    made = World.of(**{f"input{i}_csv": [Item(scope="x", money=("1",))] for i in range(60)})
    made.journals.largest_bytes = 5000
    async with made.orchestrator() as o:
        run = await o.finish()
        assert run.failure is not None
        assert (run.state, run.failure.reason) == (RunState.FAILED, "SOURCE_TOO_LARGE")
        assert run.failure.kind == "config"
        assert "has 60 chunks in" in run.failure.message
        assert "the journal takes 5000; narrow the source" in run.failure.message
        assert (run.failure.metadata["source"], run.failure.metadata["chunks"]) == ("bill", "60")
        made.source.inputs = {"a.csv": ONE}
        assert (await o.finish(spec())).state is RunState.SUCCEEDED


async def test_a_failed_run_that_nobody_retries_is_cancelled_after_a_month() -> None:
    made = World.of(a_csv=HELD, b_csv=ONE)
    made.warehouse.errors["chunk_counts"] = [FailedPrecondition("no", reason="AUDIT_MISMATCH")]
    async with made.orchestrator() as o:
        run = await o.finish()
        assert run.state is RunState.FAILED
        assert len(made.quarantined()) == 1
        made.clock.now += timedelta(days=29)
    async with made.orchestrator() as o:
        for _ in range(100):
            await asyncio.sleep(0)
        assert o.commands.find(run.name).state is RunState.FAILED
        made.clock.now += timedelta(days=1)
        done = await o.until(run, RunState.CANCELLED)
        async with asyncio.timeout(5):
            while made.quarantined():
                await asyncio.sleep(0)
    assert done.cancel is not None
    assert done.cancel.by == "platform"
    assert made.warehouse.staging(done) not in made.warehouse.tables


async def test_a_failed_run_is_retried_although_it_waits_for_its_end() -> None:
    made = World.of(a_csv=ONE)
    failing(made, 1)
    async with made.orchestrator() as o:
        run = await o.finish()
    for worker in made.workers:
        worker.failures = []
    async with made.orchestrator() as o:
        await o.retry(run)
        await o.until(run, RunState.SUCCEEDED)

"""What is said of a run in each state: what happened, whose turn it is, what readers see, what to do."""

import asyncio
from datetime import timedelta

import pytest

from services.orchestrator.conductor.conductor import table_of
from services.orchestrator.conductor.presence import present_of
from services.orchestrator.explanations.explanation import RECORDS, Explanation, explain
from services.orchestrator.explanations.present import Present
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run, apply
from services.orchestrator.runs.states import RunState
from services.orchestrator.runs.telling import told
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, Clock, Orchestrator, World, spec

ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.5",))]
TWO = [Item(scope="b.csv", money=("7",))]
TABLE = "acme_corp_raw_bill.bills"
BEFORE = (
    f"Readers see {TABLE} as it was before the run, but for what other runs have published since."
)


class Stopped(Clock):
    """Whoever sleeps does so for ever."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


def explained(o: Orchestrator, run: Run) -> Explanation:
    now = o.commands.find(run.name)
    history = o.conductor.mesh.history.ledger.history[run.name]
    return explain(now, list(told(history)), present_of(o.conductor, now))


def types(found: Explanation) -> list[str]:
    return [one.record.detail.type for one in found.records]


def failing(made: World, reason: str, kind: str, message: str) -> None:
    failure = r.Failure.model_validate(
        {"kind": kind, "reason": reason, "message": message, "advice": "a worker's"}
    )
    for worker in made.workers:
        worker.failures = [ChunkFailed(failure, transient=False)]


async def looked(made: World) -> None:
    """Wait until a worker has a chunk."""
    async with asyncio.timeout(5):
        while not any(worker.seen for worker in made.workers):
            await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_run_that_succeeded_tells_what_it_survived() -> None:
    made = World.of(a_csv=ONE, b_csv=[*TWO, Item(scope="b.csv", money=("0",), bad=True)])
    made.workers[0].die = made.workers[1].die = 1
    async with made.orchestrator() as o:
        done = await o.finish(spec(on_failure="warn"))
        found = explained(o, done)
    assert done.state is RunState.SUCCEEDED
    assert found.happened[0] == "The run was created by key key1 at 2026-11-20 12:00:00 UTC."
    assert found.happened[1] == "2 chunks took more than one try."
    assert found.happened[2].endswith(": 3 of 4 rows read are published.")
    assert found.happened[3] == "1 row broke a rule and went to quarantine."
    assert (found.fault, found.turn) == (None, "It is nobody's turn: the run has ended.")
    assert found.data_safe
    assert found.data == (
        f"Readers see all 3 rows of the run in {TABLE}; they became visible in one step."
    )
    assert found.commands == (f"convergence runs quarantine {done.name}",)
    assert types(found)[0] == "run.created"
    assert types(found)[-1] == "run.succeeded"
    assert "chunk.completed" not in types(found)


async def test_a_run_whose_source_refused_it_says_who_acts_and_that_a_retry_goes_on() -> None:
    made = World.of(a_csv=ONE, b_csv=TWO)
    failing(made, "SOURCE_FORBIDDEN", "source", "the source answered 403")
    async with made.orchestrator() as o:
        failed = await o.finish()
        found = explained(o, failed)
        for worker in made.workers:
            worker.failures.clear()
        await o.retry(failed)
        after = explained(o, await o.until(failed, RunState.SUCCEEDED))
    assert found.happened[1] == (
        "Attempt 1 failed while it was read, at 2026-11-20 12:00:00 UTC, with SOURCE_FORBIDDEN: the "
        "source answered 403."
    )
    assert found.fault == "source"
    assert found.turn == "The source is at fault: who runs it, or keeps its key, has to act."
    assert found.data == BEFORE
    assert found.advice == (
        "Give the key the right that the source asks for, then `convergence runs retry`.",
    )
    assert found.commands == (f"convergence runs retry {failed.name}",)
    assert types(found)[-1] == "run.failed"
    assert after.happened[1] == (
        "Attempt 1 failed with SOURCE_FORBIDDEN, and key key1 retried it at 2026-11-20 12:00:00 UTC."
    )
    assert types(after).count("run.retried") == 1


async def test_a_run_whose_files_are_wrong_is_not_retried_but_started_anew() -> None:
    made = World.of(a_csv=ONE)
    failing(made, "SOURCE_REFUSED", "config", "the source answered 400")
    async with made.orchestrator() as o:
        found = explained(o, await o.finish())
    assert found.fault == "config"
    assert found.commands == (
        f"convergence pipelines validate {PIPELINE}",
        f"convergence runs start {PIPELINE}",
    )


async def test_a_held_run_says_why_until_when_and_who_decides() -> None:
    made = World.of(a_csv=[*ONE, Item(scope="a.csv", money=("5",), bad=True)])
    async with made.orchestrator() as o:
        run = await o.finish()
        found = explained(o, run)
        await o.until(run, RunState.HELD)
    assert run.held is not None
    assert found.happened[1].startswith("Everything is read and counted; it is held since ")
    assert found.happened[2:] == tuple(f"{reason}." for reason in run.held.reasons)
    assert found.turn == "Nobody is at fault: somebody of the tenant has to look and decide."
    assert found.advice[-1] == (
        f"Without a decision it is discarded by itself at {run.held.expire_time:%Y-%m-%d %H:%M:%S} UTC."
    )
    assert [command.split()[2] for command in found.commands] == [
        "results",
        "quarantine",
        "approve",
        "discard",
    ]


async def test_a_cancelled_run_says_by_whom_when_and_why() -> None:
    made = World.of(a_csv=ONE)
    made.hang()
    async with made.orchestrator() as o:
        run = await o.start()
        await looked(made)
        await o.commands.cancel(run.name, by="key9", reason="the wrong file")
        found = explained(o, await o.until(run, RunState.CANCELLED))
    assert found.happened[1:] == (
        "It was cancelled by key key9 while it was read, at 2026-11-20 12:00:00 UTC: the wrong file.",
        "Its work had stopped and what it had staged was gone 0 s later.",
    )
    assert found.data == BEFORE
    assert types(found)[-2:] == ["run.cancelling", "run.cancelled"]


async def test_a_hold_that_nobody_ended_says_so() -> None:
    made = World.of(a_csv=[*ONE, Item(scope="a.csv", money=("5",), bad=True)])
    async with made.orchestrator() as o:
        run = await o.finish()
        made.clock.now += timedelta(days=60)
        found = explained(o, await o.until(run, RunState.CANCELLED))
    assert found.happened[1].startswith(
        "It was cancelled by its pipeline's hold_for while it was held"
    )


async def test_a_superseded_run_names_the_run_that_is_newer() -> None:
    made = World.of(a_csv=[*ONE, Item(scope="a.csv", money=("5",), bad=True)])
    async with made.orchestrator() as o:
        older = await o.finish()
        made.source.inputs["a.csv"] = ONE
        newer = await o.finish()
        found = explained(o, await o.until(older, RunState.SUPERSEDED))
    assert found.happened[1].startswith(
        f"Newer looks at all that it covers are published, by run {newer.name.run}: it ended while it "
        "was held, at "
    )
    assert (found.advice, found.commands) == ((), ())


async def test_a_failed_transform_says_that_the_rows_are_there() -> None:
    made = World.of(a_csv=ONE)
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        found = explained(o, await o.finish(spec(transforms=1)))
    assert found.run.state is RunState.TRANSFORM_FAILED
    assert found.happened[1] == "Its rows are published."
    assert found.happened[2].startswith("Transform t0 failed at 2026-11-20 12:00:00 UTC with ")
    assert found.data == (
        f"Readers see all rows of the run in {TABLE}; what its transforms write is as it was."
    )
    assert found.commands == (f"convergence runs retry {found.run.name}",)


async def test_a_run_that_is_read_says_how_far_it_is_and_what_its_chunks_wait_for() -> None:
    made = World()
    for number in range(8):
        made.source.inputs[f"{number}.csv"] = [Item(scope=f"{number}.csv", money=("1",))]
    made.hang()
    limits = spec().limits.model_copy(update={"max_parallel_chunks": 5})
    async with made.orchestrator() as o:
        run = await o.start(
            spec().model_copy(update={"limits": limits}), share=r.Share(chunk_count=2)
        )
        await looked(made)
        made.clock.now += timedelta(seconds=75)
        found = explained(o, run)
    assert found.happened[1:] == (
        "Workers read it: 0 of 8 chunks done, with 0 rows.",
        "Workers have 2 chunks at this moment.",
        "The slowest, of 0.csv, is with worker w1 for 1 min 15 s and has read 0 rows.",
        "3 chunks wait for a slot of a worker: the tenant has 2, as many as its limit chunk_count allows.",
        "3 more chunks will follow: the pipeline's limits.max_parallel_chunks is 5.",
    )
    assert found.turn == "It is the platform's turn: the run goes on by itself."
    assert found.commands == (f"convergence runs watch {run.name}",)


async def test_chunks_that_wait_for_others_say_who_has_the_slots() -> None:
    made = World()
    for number in range(8):
        made.source.inputs[f"{number}.csv"] = [Item(scope=f"{number}.csv", money=("1",))]
    made.hang()
    async with made.orchestrator() as o:
        run = await o.start()
        await looked(made)
        for _ in range(20):
            await asyncio.sleep(0)
        found = explained(o, run)
    workers = o.conductor.mesh.dispatcher.workers()
    slots = sum(worker.slot_count for worker in workers)
    assert found.happened[4] == (
        f"{8 - slots} chunks wait for a slot of a worker: all {slots} are taken; the tenant has {slots}."
    )


async def test_chunks_that_failed_say_what_the_last_try_said() -> None:
    made = World(clock=Stopped())
    made.source.inputs.update({f"{letter}.csv": ONE for letter in "abcde"})
    for worker in made.workers:
        worker.die = 5
    async with made.orchestrator() as o:
        run = await o.start()
        live = o.conductor.live
        async with asyncio.timeout(5):
            while run.name not in live or not live[run.name].setbacks:
                await asyncio.sleep(0)
        found = explained(o, run)
    assert found.happened[-1] == (
        "2 chunks have failed and are tried again; one of a.csv has failed 1 time, the last time with "
        "NO_WORKER: worker w1 died."
    )
    assert found.fault == "platform"
    assert found.turn.startswith("It is the platform's turn: the run goes on by itself. What fails")
    assert found.advice == ("Wait: it goes on by itself as soon as what fails is well again.",)


@pytest.mark.parametrize(
    ("state", "call", "doing"),
    [
        (
            RunState.PLANNING,
            "columns",
            "A worker looks through source bill and splits it into chunks.",
        ),
        (RunState.INGESTING, "prepare", "Workers read it: 0 of 1 chunk done, with 0 rows."),
        (
            RunState.AUDITING,
            "chunk_counts",
            "Every chunk is done; rows in staging are counted, summed and judged.",
        ),
        (
            RunState.PUBLISHING,
            "publish",
            "Its rows are being published in one step, which can no longer be cancelled.",
        ),
        (
            RunState.TRANSFORMING,
            "stage_transform",
            "Its rows are published; 0 of 1 transform done.",
        ),
    ],
)
async def test_a_step_that_a_sick_bigquery_keeps_up_says_so_in_every_state(
    state: RunState, call: str, doing: str
) -> None:
    made = World.of(a_csv=ONE)
    made.warehouse.fail[call] = 10_000
    async with made.orchestrator() as o:
        run = await o.start(spec(transforms=1))
        live = o.conductor.live
        async with asyncio.timeout(5):
            while not ((now := live.get(run.name)) and now.step):
                await asyncio.sleep(0)
        found = explained(o, run)
        made.warehouse.fail[call] = 0
        await o.until(run, RunState.SUCCEEDED)
    assert found.run.state is state
    assert found.happened[1] == doing
    assert found.happened[2] == (
        "The step has failed 1 time and is tried again by itself; the last try said "
        f"WAREHOUSE_UNAVAILABLE: {call}: a dial."
    )
    assert found.fault == "platform"
    assert found.data_safe


async def test_a_run_that_cannot_tidy_up_after_a_cancel_says_so() -> None:
    made = World.of(a_csv=ONE)
    made.hang()
    made.warehouse.fail["tidy_unpublished"] = 10_000
    async with made.orchestrator() as o:
        run = await o.start()
        await looked(made)
        await o.commands.cancel(run.name, by="k", reason="")
        async with asyncio.timeout(5):
            while not ((now := o.conductor.live.get(run.name)) and now.step):
                await asyncio.sleep(0)
        found = explained(o, run)
    assert found.run.state is RunState.CANCELLING
    assert found.happened[1] == "Its work is stopped, and what it has staged is being removed."


async def test_a_run_that_waits_for_its_table_names_the_run_that_writes_to_it() -> None:
    made = World.of(a_csv=ONE)
    async with made.orchestrator() as o:
        other = PIPELINE.run("r_other")
        await o.conductor.locks.take(f"{TABLE}", other)
        run = await o.start()
        async with asyncio.timeout(5):
            while not o.commands.find(run.name).audited:
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        found = explained(o, run)
        assert table_of(run) == TABLE
    assert found.happened[1:] == (
        "Its rows are counted and judged; it is about to publish.",
        f"It waits for table {TABLE}: run r_other writes to it, one at a time may.",
    )


async def test_a_run_that_outlived_its_orchestrator_says_so() -> None:
    made = World.of(a_csv=ONE)
    gate = made.hang()
    async with made.orchestrator() as first:
        run = await first.start()
        await looked(made)
    gate.set()
    async with made.orchestrator() as second:
        found = explained(second, await second.until(run, RunState.SUCCEEDED))
    assert found.happened[1] == (
        "The orchestrator was replaced 1 time meanwhile; the run went on from its records."
    )


async def test_every_moment_of_a_run_is_explained() -> None:
    made = World.of(a_csv=ONE, b_csv=TWO)
    made.warehouse.broken_transforms.add("t0")
    async with made.orchestrator() as o:
        run = await o.finish(spec(transforms=1))
        made.warehouse.broken_transforms.clear()
        await o.retry(run)
        await o.until(run, RunState.SUCCEEDED)
        history = o.conductor.mesh.history.ledger.history[run.name]
    seen: set[RunState] = set()
    after: Run | None = None
    for number, record in enumerate(history, start=1):
        after = apply(after, record)
        found = explain(after, list(told(history[:number])), Present(now=NOON))
        seen.add(after.state)
        assert found.records[-1].record == record
        assert len(found.records) <= RECORDS
        assert all(text.endswith((".", ":")) for text in (*found.happened, found.turn, found.data))
    assert seen == {
        RunState.PENDING,
        RunState.PLANNING,
        RunState.INGESTING,
        RunState.AUDITING,
        RunState.PUBLISHING,
        RunState.TRANSFORMING,
        RunState.TRANSFORM_FAILED,
        RunState.SUCCEEDED,
    }

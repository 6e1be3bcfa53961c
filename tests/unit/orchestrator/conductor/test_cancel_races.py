"""CancelRun at any moment, raced against the run's own next step: one outcome, old data or new, nothing left."""

import asyncio

import pytest

from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import IllegalMove, Run
from services.orchestrator.runs.states import FINAL, RunState
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec

OLD = [Item(scope="a.csv", money=("1",), key="a"), Item(scope="b.csv", money=("2",), key="b")]
NEW = [Item(scope="a.csv", money=("10",), key="a"), Item(scope="b.csv", money=("20",), key="b")]
OUTCOMES = {RunState.CANCELLED, RunState.SUCCEEDED}


async def published_before(made: World, mode: str) -> Run | None:
    """Publish the old look where the mode replaces it; `append` begins with an empty table."""
    if mode == "append":
        return None
    made.source.inputs.update({"a.csv": OLD[:1], "b.csv": OLD[1:]})
    async with made.orchestrator() as o:
        return await o.finish(spec(mode=mode, on_failure="fail"))


def held(made: World) -> None:
    """Let the next run be held, for money in quarantine."""
    made.source.inputs.update(
        {"a.csv": NEW, "b.csv": [Item(scope="b.csv", money=("5",), bad=True)]}
    )


def look_of(made: World, mode: str) -> str:
    """Say which look readers see: old or new."""
    rows = made.published(spec(mode=mode))
    old = [] if mode == "append" else [("a.csv", "1"), ("b.csv", "2")]
    looks = {"old": old, "new": [("a.csv", "10"), ("b.csv", "20")]}
    return next(name for name, wanted in looks.items() if rows == wanted)


def cleared(made: World, o: Orchestrator, run: Run) -> None:
    """Nothing of a cancelled run is left: no table, no quarantine, no slot, no uncommitted worker."""
    assert made.warehouse.staging(run) not in made.warehouse.tables
    assert run.name.run not in {name for name, _ in made.quarantined()}
    assert [worker.busy for worker in o.conductor.mesh.dispatcher.workers()] == [0, 0]
    assert o.conductor.mesh.dispatcher.tenants() == []


async def cancelled(o: Orchestrator, run: Run) -> bool:
    """Ask for the end of a run; return whether it was accepted."""
    try:
        await o.commands.cancel(run.name, by="k", reason="mistake")
    except IllegalMove:
        return False
    return True


def told_once(made: World, run: Run) -> None:
    """The records of a run end once, and none follows its end."""
    told = [record.detail for record in made.journals.records if record.run == str(run.name)]
    ends = [d for d in told if isinstance(d, r.RunCancelled | r.RunSucceeded)]
    assert ends == told[-1:]


@pytest.mark.parametrize("killed", [False, True], ids=["alive", "killed"])
@pytest.mark.parametrize("turns", [0, 2])
@pytest.mark.parametrize("records", range(1, 13))
@pytest.mark.parametrize("mode", ["replace", "append", "merge"])
async def test_a_cancel_after_any_record_has_one_outcome(
    mode: str, records: int, turns: int, killed: bool
) -> None:
    made = World()
    await published_before(made, mode)
    before = len(made.journals.records)
    made.source.inputs.update({"a.csv": NEW[:1], "b.csv": NEW[1:]})
    wanted = spec(mode=mode, on_failure="fail", transforms=int(mode == "replace"))
    async with made.orchestrator() as first:
        run = await first.start(wanted)
        async with asyncio.timeout(5):
            while len(made.journals.records) < before + records:
                if first.commands.find(run.name).resting:
                    break
                await asyncio.sleep(0)
        for _ in range(turns):
            await asyncio.sleep(0)
        accepted = await cancelled(first, run)
        if not killed:
            done = await first.until(run, *OUTCOMES)
    async with made.orchestrator() as second:
        done = await second.until(run, *OUTCOMES)
        assert accepted is (done.state is RunState.CANCELLED)
        assert look_of(made, mode) == ("old" if accepted else "new")
        if accepted:
            async with asyncio.timeout(5):
                while second.conductor._asked:
                    await asyncio.sleep(0)
            cleared(made, second, done)
    told_once(made, done)


@pytest.mark.parametrize("first_asked", ["cancel", "approve"])
@pytest.mark.parametrize("turns", range(6))
async def test_of_a_cancel_and_an_approval_of_a_held_run_one_wins(
    first_asked: str, turns: int
) -> None:
    made = World()
    await published_before(made, "replace")
    held(made)
    async with made.orchestrator() as o:
        run = await o.finish(spec())
        assert run.state is RunState.HELD
        other = asyncio.create_task(
            cancelled(o, run) if first_asked == "cancel" else approved(o, run)
        )
        for _ in range(turns):
            await asyncio.sleep(0)
        second = await (approved(o, run) if first_asked == "cancel" else cancelled(o, run))
        first = await other
        done = await o.until(run, *OUTCOMES)
        assert first is not second
        was_cancelled = first if first_asked == "cancel" else second
        assert was_cancelled is (done.state is RunState.CANCELLED)
    told_once(made, done)


async def approved(o: Orchestrator, run: Run) -> bool:
    """Approve a held run; return whether it was accepted."""
    try:
        await o.approve(run)
    except IllegalMove:
        return False
    return True


@pytest.mark.parametrize("turns", range(6))
async def test_a_retry_and_a_cancel_of_a_failed_run_end_it_once(turns: int) -> None:
    made = World.of(a_csv=NEW[:1], b_csv=NEW[1:])
    refused = r.Failure(kind="source", reason="SOURCE_FORBIDDEN", message="no", advice="")
    for worker in made.workers:
        worker.failures = [ChunkFailed(refused, transient=False)]
    async with made.orchestrator() as o:
        run = await o.finish(spec())
        assert run.state is RunState.FAILED
        for worker in made.workers:
            worker.failures.clear()
        retrying = asyncio.create_task(o.retry(run))
        for _ in range(turns):
            await asyncio.sleep(0)
        accepted = await cancelled(o, run)
        await asyncio.gather(retrying, return_exceptions=True)
        done = await o.until(run, *OUTCOMES)
        assert accepted is (done.state is RunState.CANCELLED)
        assert bool(made.published()) is not accepted
    told_once(made, done)


async def test_every_state_is_cancelled_or_says_why_not() -> None:
    seen: dict[RunState, bool] = {}
    for records in range(20):
        made = World.of(a_csv=NEW[:1], b_csv=NEW[1:])
        async with made.orchestrator() as o:
            starting = asyncio.create_task(o.start(spec(on_failure="fail", transforms=1)))
            runs = o.conductor.mesh.history.ledger.runs
            while not runs or len(made.journals.records) < records:
                await asyncio.sleep(0)
                if all(run.resting for run in runs.values()) and runs:
                    break
            (run,) = runs.values()
            seen[run.state] = await cancelled(o, run)
            await starting
            await o.until(run, *FINAL)
    assert seen == {
        RunState.PENDING: True,
        RunState.PLANNING: True,
        RunState.INGESTING: True,
        RunState.AUDITING: True,
        RunState.PUBLISHING: False,
        RunState.TRANSFORMING: False,
        RunState.SUCCEEDED: False,
    }

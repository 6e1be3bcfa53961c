"""kill -9 after each record of every way that a run can take; callers then repeat what they asked."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal

import pytest

from libs.common.errors import FailedPrecondition
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.cutting import CutJournals, kill
from tests.unit.orchestrator.conductor.world import Orchestrator, World, spec

HARMLESS = Item(scope="a.csv", money=("0",), bad=True)
COSTLY = Item(scope="a.csv", money=("9.99",), bad=True)
ONE = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",)), HARMLESS]
HELD = [*ONE[:2], COSTLY]
DIRECT = spec(mode="append", on_failure="fail")
AWAY = 1_000_000
RECORDS = 18
"""No way has more records until its end; the last test holds it to that."""


async def approved(made: World, o: Orchestrator) -> Run:
    made.source.inputs["a.csv"] = HELD
    run = await o.rest(await o.start(spec(transforms=1), request=1))
    if run.state is RunState.HELD:
        await o.approve(run)
    return await o.until(run, RunState.SUCCEEDED)


async def discarded(made: World, o: Orchestrator) -> Run:
    made.source.inputs["a.csv"] = HELD
    run = await o.rest(await o.start(request=1))
    await o.commands.discard(run.name, by="k", reason="")
    return await o.until(run, RunState.CANCELLED)


async def cancelled(made: World, o: Orchestrator) -> Run:
    made.source.inputs |= {"a.csv": ONE, "b.csv": [Item(scope="b.csv", money=("7",))]}
    made.workers[1].hang = made.workers[1].hang or asyncio.Event()
    run = await o.start(request=1)
    async with asyncio.timeout(5):
        while not run.landed and run.state is not RunState.CANCELLED:
            await asyncio.sleep(0)
            run = o.commands.find(run.name)
    await o.commands.cancel(run.name, by="k", reason="")
    return await o.until(run, RunState.CANCELLED)


async def cancelled_when_failed(made: World, o: Orchestrator) -> Run:
    made.source.inputs["a.csv"] = ONE
    made.warehouse.errors["chunk_counts"] = [FailedPrecondition("no", reason="AUDIT_MISMATCH")]
    run = await o.rest(await o.start(request=1))
    await o.commands.cancel(run.name, by="k", reason="")
    return await o.until(run, RunState.CANCELLED)


def retried(reason: str) -> "Way":
    async def way(made: World, o: Orchestrator) -> Run:
        made.source.inputs["a.csv"] = ONE
        if len(made.journals.records) < 2:
            made.warehouse.errors["chunk_counts"] = [FailedPrecondition("no", reason=reason)]
        run = await o.rest(await o.start(request=1))
        if run.state is RunState.FAILED:
            await o.retry(run, failed_attempt=run.attempt)
        return await o.until(run, RunState.SUCCEEDED)

    return way


async def retried_after_publishing_failed(made: World, o: Orchestrator) -> Run:
    made.source.inputs["a.csv"] = ONE
    run = await o.start(request=1)
    made.warehouse.broken_jobs.add(f"cvg-acme_corp-{run.name.run}-publish-1")
    run = await o.rest(run)
    if run.state is RunState.FAILED:
        await o.retry(run, failed_attempt=run.attempt)
    return await o.until(run, RunState.SUCCEEDED)


def lost(mode: str) -> "Way":
    """The stream of the first try ends before it is committed."""

    async def way(made: World, o: Orchestrator) -> Run:
        made.source.inputs["a.csv"] = ONE
        wanted = DIRECT if mode == "append" else spec()
        run = await o.start(wanted, request=1)
        direct, staged = made.warehouse.target(wanted), made.warehouse.staging(run)
        made.warehouse.gone |= {f"{direct}/1000001", f"{staged}/1000001"} - set(
            made.warehouse.committed
        )
        return await o.until(run, RunState.SUCCEEDED)

    return way


async def lost_while_publishing(made: World, o: Orchestrator) -> Run:
    made.source.inputs["a.csv"] = ONE
    run = await o.start(DIRECT, request=1)
    made.warehouse.fail["commit_target"] = AWAY
    run = await o.until(run, RunState.PUBLISHING, RunState.TRANSFORMING, RunState.SUCCEEDED)
    if run.state is RunState.PUBLISHING and run.publishing:
        made.warehouse.gone |= {*run.publishing.streams} - set(made.warehouse.committed)
    made.warehouse.fail.clear()
    return await o.until(run, RunState.SUCCEEDED)


MERGE = spec(mode="merge")
MERGED = [
    Item(scope="a.csv", money=("1.5",), key="a"),
    Item(scope="a.csv", money=("9",), key="b", version=1),
    Item(scope="a.csv", money=("2.25",), key="b", version=2),
    HARMLESS,
]


async def merged_after_publishing_failed(made: World, o: Orchestrator) -> Run:
    made.source.inputs["a.csv"] = MERGED
    run = await o.start(MERGE, request=1)
    made.warehouse.broken_jobs.add(f"cvg-acme_corp-{run.name.run}-publish-1")
    run = await o.rest(run)
    if run.state is RunState.FAILED:
        await o.retry(run, failed_attempt=run.attempt)
    done = await o.until(run, RunState.SUCCEEDED)
    assert done.published is not None
    assert done.published.won == r.Visible(row_count=2, money=(("cost", Decimal("3.75")),))
    return done


async def superseded(made: World, o: Orchestrator) -> Run:
    if len(o.conductor.mesh.history.ledger.runs) < 2:
        made.source.inputs["a.csv"] = HELD
    older = await o.rest(await o.start(request=1))
    made.source.inputs["a.csv"] = ONE
    newer = await o.until(await o.start(request=2), RunState.SUCCEEDED)
    await o.until(older, RunState.SUPERSEDED)
    return newer


Way = Callable[[World, Orchestrator], Awaitable[Run]]
WAYS: dict[str, tuple[Way, bool]] = {
    "approved": (approved, True),
    "discarded": (discarded, False),
    "cancelled": (cancelled, False),
    "cancelled-failed": (cancelled_when_failed, False),
    "retried": (retried("AUDIT_MISMATCH"), True),
    "planned-anew": (retried("SOURCE_CHANGED"), True),
    "publishing-failed": (retried_after_publishing_failed, True),
    "merged": (merged_after_publishing_failed, True),
    "lost-staged": (lost("replace"), True),
    "lost-direct": (lost("append"), True),
    "lost-publishing": (lost_while_publishing, True),
    "superseded": (superseded, True),
}
"""Ways, and whether rows of the run that they return are published at their end."""


async def begin(made: World, way: Way, *, late: bool) -> None:
    """Go a way until the journal is full; `late`: everything that waits for no record is done."""
    journals = made.journals
    assert isinstance(journals, CutJournals)
    async with made.orchestrator() as o:
        walk = asyncio.ensure_future(way(made, o))
        stop = asyncio.ensure_future(journals.reached.wait())
        try:
            async with asyncio.timeout(5):
                await asyncio.wait({walk, stop}, return_when=asyncio.FIRST_COMPLETED)
            for _ in range(100 if late else 0):
                await asyncio.sleep(0)
        finally:
            await kill()
    assert walk.done()
    assert journals.reached.is_set() or len(journals.records) <= journals.most
    journals.most = 0


async def nothing_else(made: World, kept: list[tuple[str, str]]) -> None:
    """Wait until there is no staging, and no quarantine but `kept`."""
    async with asyncio.timeout(5):
        while made.quarantined() != kept or any("_staging." in t for t in made.warehouse.tables):
            await asyncio.sleep(0)


@pytest.mark.parametrize("late", [False, True], ids=["at_once", "late"])
@pytest.mark.parametrize("records", range(1, RECORDS))
@pytest.mark.parametrize("name", WAYS)
async def test_a_way_that_a_kill_cut_off_ends_as_it_would_have(
    name: str, records: int, late: bool
) -> None:
    way, published = WAYS[name]
    made = World(journals=CutJournals(most=records))
    await begin(made, way, late=late)
    async with made.orchestrator() as o:
        run = await way(made, o)
        await nothing_else(made, [(run.name.run, "a.csv")] if published else [])
    rows = [("a.csv", "1.5"), ("a.csv", "2.25")] if published else []
    assert made.published() == rows
    ends = [x.run for x in made.journals.records if isinstance(x.detail, r.RunPublished)]
    assert ends == ([str(run.name)] if published else [])


@pytest.mark.parametrize("name", WAYS)
async def test_every_way_is_cut_at_all_its_records(name: str) -> None:
    made = World(journals=CutJournals())
    async with made.orchestrator() as o:
        await WAYS[name][0](made, o)
    assert 7 <= len(made.journals.records) <= RECORDS

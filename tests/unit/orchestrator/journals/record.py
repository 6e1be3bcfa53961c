"""`make journals`: keeps journals as this version of the records writes them, one for each way of a run.

Those of earlier versions are never written again, nor those that would say the same.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from pathlib import Path

from libs.common.errors import FailedPrecondition
from services.orchestrator.conductor.commands import Fire
from services.orchestrator.journal.checkpoints import Checkpoints
from services.orchestrator.journal.history import KEPT_FOR
from services.orchestrator.journal.rows import JournalUnreadable, payload_of, records_of, row_of
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.records import (
    VERSION,
    BackfillCancelled,
    BackfillCreated,
    BackfillFinished,
    BackfillPaused,
    BackfillResumed,
    Failure,
    Result,
    Share,
    TenantLimited,
)
from services.orchestrator.runs.run import IllegalMove
from services.orchestrator.runs.states import RunState
from services.orchestrator.schedules.records import (
    Decision,
    FiresDecided,
    SchedulePaused,
    ScheduleRemoved,
    ScheduleResumed,
    ScheduleSet,
)
from services.orchestrator.specs import ScheduleSpec, WindowSpec
from services.orchestrator.workers.memory_workers import Item
from services.orchestrator.workers.workers import ChunkFailed
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, Orchestrator, World, spec
from tests.unit.orchestrator.journals.kept import (
    FOLDER,
    SUMS,
    fields_now,
    fields_of,
    meaning,
    rows_of,
    states_of,
    sums,
    written,
)

A = [Item(scope="a.csv", money=("1.5",)), Item(scope="a.csv", money=("2.25",))]
B = [Item(scope="b.csv", money=("7",))]
LOST = Item(scope="a.csv", money=("9.99",), bad=True)
DIRECT = spec(mode="append", on_failure="fail")
RESULT = Result(
    rule_id="x", expectation_type="expect_column_values_to_not_be_null", column="service",
    kwargs='{"column": "service"}', success=False, severity="warning", element_count=2,
    missing_count=1, unexpected_count=1, observed_value="Söhne", samples=("",),
)  # fmt: skip


async def appended(made: World, o: Orchestrator) -> None:
    made.source.inputs |= {"a.csv": A, "b.csv": B}
    made.shares[PIPELINE.tenant] = Share(chunk_count=4, live_run_count=3)
    await o.finish(DIRECT)
    await o.finish(DIRECT)


async def replaced(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = A
    made.judge.results = (RESULT,)
    await o.finish(spec(on_failure="warn"))
    made.source.inputs["a.csv"] = [*A, Item(scope="a.csv", money=("0.000000000000000001",))]
    await o.finish(spec(on_failure="warn"))


async def merged(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = [
        Item(scope="a.csv", money=("1.5",), key="a"),
        Item(scope="a.csv", money=("9",), key="b", version=1),
        Item(scope="a.csv", money=("2.25",), key="b", version=2),
    ]
    await o.finish(spec(mode="merge"))


async def approved(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = [*A, LOST]
    run = await o.finish()
    await o.approve(run)
    await o.until(run, RunState.SUCCEEDED)


async def delivered(made: World, o: Orchestrator) -> None:
    made.source.inputs |= {"a.csv": A, "b.csv": B}
    made.source.deliveries = {"2026-11": ("a.csv", "b.csv")}
    await o.finish()
    del made.source.inputs["b.csv"]
    made.source.deliveries = {"2026-11": ("a.csv",)}
    await o.finish()


async def cancelled(made: World, o: Orchestrator) -> None:
    made.source.inputs |= {"a.csv": A, "b.csv": B}
    made.hang()
    run = await o.start()
    await o.until(run, RunState.INGESTING)
    await o.commands.cancel(run.name, by="key2", reason="wrong file")
    await o.until(run, RunState.CANCELLED)


async def retried(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = A
    made.warehouse.errors["chunk_counts"] = [FailedPrecondition("no", reason="AUDIT_MISMATCH")]
    run = await o.finish()
    await o.retry(run)
    await o.until(run, RunState.SUCCEEDED)


async def replanned(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = A
    changed = Failure(kind="source", reason="SOURCE_CHANGED", message="it changed", advice="")
    for worker in made.workers:
        worker.failures = [ChunkFailed(changed, transient=False)]
    run = await o.finish()
    for worker in made.workers:
        worker.failures.clear()
    made.source.inputs["a.csv"] = [*A, *A]
    await o.retry(run)
    await o.until(run, RunState.SUCCEEDED)


async def lost(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = A
    run = await o.start()
    made.warehouse.gone.add(f"{made.warehouse.staging(run)}/1000001")
    await o.until(run, RunState.SUCCEEDED)


async def transformed(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = A
    made.warehouse.broken_transforms.add("t0")
    run = await o.finish(spec(transforms=1))
    made.warehouse.broken_transforms.clear()
    await o.retry(run)
    await o.until(run, RunState.SUCCEEDED)


async def superseded(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = [*A, LOST]
    older = await o.finish()
    made.source.inputs["a.csv"] = A
    await o.finish()
    await o.until(older, RunState.SUPERSEDED)


async def backfilled(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = A
    history, name = o.conductor.mesh.history, str(PIPELINE.backfill("b1"))
    days = (date(2026, 11, 1), date(2026, 11, 2))
    created = BackfillCreated(
        backfill=name, spec=spec().canonical(), spec_hash=spec().spec_hash, request_id="q",
        request_facts={"reload": "false"}, start=days[0], end=date(2026, 11, 3), newest_first=False,
        days=days, max_parallel=1, max_failures=3, created_by="key1", reason="the bill was late",
        share=Share(slot_weight=2.0, live_run_count=3, read_bytes_per_day=10**12),
    )  # fmt: skip
    history.decide(None, created)
    history.decide(None, BackfillPaused(backfill=name, by="key2", reason="wait"))
    history.decide(None, BackfillResumed(backfill=name, by="key2"))
    history.decide(None, BackfillCancelled(backfill=name, by="key2", reason="wrong range"))
    history.decide(None, BackfillFinished(backfill=name))
    await history.settled(history.ledger.position)


async def checkpointed(made: World, o: Orchestrator) -> None:
    made.source.inputs |= {"a.csv": A, "b.csv": B}
    history = o.conductor.mesh.history
    checkpoints = Checkpoints(history, written=lambda _: True, kept_for=timedelta(seconds=-1))
    await o.finish(DIRECT)
    checkpoints.write()
    made.warehouse.broken_transforms.add("t0")
    made.source.inputs = {"c.csv": [Item(scope="c.csv", money=("3",)), LOST]}
    await o.finish(spec(transforms=1, on_failure="warn"))
    await o.finish()
    checkpoints.write()
    await history.settled(history.ledger.position)


async def scheduled(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = A
    history, name = o.conductor.mesh.history, str(PIPELINE)
    fires = [NOON + timedelta(hours=hours) for hours in range(6)]
    said = ScheduleSpec(
        cron="0 * * * *", overlap="cancel_other", jitter_seconds=60, after=("p_up",)
    )
    window = WindowSpec(grain="day")
    of = spec().model_copy(update={"schedule": said, "window": window})
    decisions = (
        Decision(fire_time=fires[0], last_fire_time=fires[1], fire_count=2, verdict="miss", cause="too_old"),
        Decision(fire_time=fires[2], verdict="skip", cause="overlap", run="r0"),
        Decision(fire_time=fires[3], verdict="start", run="s1"),
        Decision(fire_time=fires[4], verdict="buffer", cause="overlap", cancels=("s1",)),
        Decision(fire_time=fires[5], verdict="start", run="s2"),
    )  # fmt: skip
    refused = Decision(
        fire_time=fires[5], verdict="refuse", cause="refused", run="s2", message="no"
    )
    history.decide(None, ScheduleSet(pipeline=name, schedule=said, begin_time=NOON))
    history.decide(None, FiresDecided(pipeline=name, until=fires[5], decisions=decisions))
    history.decide(None, FiresDecided(pipeline=name, until=fires[5], decisions=(refused,)))
    patience = timedelta(hours=1)
    fire = Fire(
        pipeline=PIPELINE, run="s1", fire_time=fires[3], after=said.after, patience=patience
    )
    run = o.commands.fire(fire, of)
    history.decide(None, SchedulePaused(pipeline=name, by="key1", reason="the source is down"))
    history.decide(None, ScheduleResumed(pipeline=name, by="key2"))
    await o.until(run, RunState.FAILED)
    history.decide(None, ScheduleRemoved(pipeline=name))
    await history.settled(history.ledger.position)


async def limited(made: World, o: Orchestrator) -> None:
    made.source.inputs["a.csv"] = A
    history = o.conductor.mesh.history
    history.decide(None, TenantLimited(tenant=PIPELINE.tenant, share=Share(live_run_count=7)))
    await o.finish()


async def kept(made: World, o: Orchestrator) -> None:
    history = o.conductor.mesh.history
    keeping = asyncio.create_task(history.keep(made.clock.sleep))
    await history.settled(1)
    made.clock.now += KEPT_FOR + timedelta(seconds=1)
    await history.settled(2)
    keeping.cancel()


WAYS: dict[str, Callable[[World, Orchestrator], Awaitable[None]]] = {
    "appended": appended,
    "replaced": replaced,
    "merged": merged,
    "approved": approved,
    "delivered": delivered,
    "cancelled": cancelled,
    "retried": retried,
    "replanned": replanned,
    "lost": lost,
    "transformed": transformed,
    "superseded": superseded,
    "backfilled": backfilled,
    "checkpointed": checkpointed,
    "scheduled": scheduled,
    "limited": limited,
    "kept": kept,
}


async def gone(way: Callable[[World, Orchestrator], Awaitable[None]]) -> World:
    """Return the world after a way."""
    made = World()
    async with made.orchestrator() as o:
        await asyncio.sleep(0)
        await way(made, o)
    return made


def as_written_now(file: Path) -> bool:
    """Return whether this version writes what a file holds as it does, and with the same meaning."""
    rows = rows_of(file)
    ledger = Ledger()
    try:
        records = records_of(rows)
        for record in records:
            ledger.add(record)
    except (JournalUnreadable, IllegalMove):
        return False
    same = all(payload_of(x.detail) == row["payload"] for x, row in zip(records, rows, strict=True))
    return same and meaning(ledger) == json.loads(states_of(file).read_text())


def main() -> None:
    folder = FOLDER / f"v{VERSION}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, way in WAYS.items():
        file = folder / f"{name}.jsonl"
        if file.exists() and as_written_now(file):
            continue
        records = asyncio.run(gone(way)).journals.records
        ledger = Ledger()
        for record in records:
            ledger.add(record)
        file.write_text("".join(f"{written(row_of(record))}\n" for record in records))
        states_of(file).write_text(f"{written(meaning(ledger))}\n")
    fields_of(VERSION).write_text("".join(f"{line}\n" for line in fields_now()))
    SUMS.write_text("".join(f"{line}\n" for line in sums()))


if __name__ == "__main__":
    main()

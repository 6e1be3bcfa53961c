"""Backfills over a whole orchestrator in memory: failures, holds, live runs beside them, bounds."""

import asyncio
from datetime import timedelta

import pytest

from libs.common.errors import FailedPrecondition
from services.orchestrator.backfills.backfill import BackfillState
from services.orchestrator.backfills.runner import MOST_RUNS
from services.orchestrator.conductor.commands import RunAlreadyActive, TooManyRuns
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.records import Share
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.backfills.daily import (
    DAYS,
    PIPELINE,
    DailyWorker,
    Filling,
    daily,
    daily_world,
    filling,
    midnight,
)
from tests.unit.orchestrator.conductor.world import World

FINISHED = BackfillState.FINISHED


def workers(world: World) -> list[DailyWorker]:
    return [worker for worker in world.workers if isinstance(worker, DailyWorker)]


def broken(world: World, *days: str) -> None:
    for worker in workers(world):
        worker.broken = set(days)


async def live_run(one: Filling, day: int, *, lookback: int = 7, most: int = 20) -> Run:
    """Start a run as somebody does who wants the day DAYS[day]."""
    return await one.orchestrator.start(
        daily(lookback=lookback),
        pipeline=PIPELINE,
        moment=midnight(DAYS[day]),
        share=Share(live_run_count=most),
    )


async def test_windows_are_read_newest_first_each_alone_and_by_one_spec() -> None:
    async with filling(daily_world()) as one:
        made = await one.create(DAYS[:5], newest_first=True, max_parallel=1)
        await one.until(made, FINISHED)
        runs = one.runs(made)
        assert list(runs) == list(reversed(DAYS[:5]))
        for day, run in runs.items():
            assert run.created.window_start == midnight(day)
            assert run.created.window_end == midnight(day + timedelta(days=1))
            assert run.scope == (("day", (day.isoformat(),)),)
            assert run.spec.spec_hash == daily().spec_hash
            assert (run.lane, run.created.created_by) == (Lane.BACKFILL, "backfill")


async def test_so_many_failures_pause_it_and_retried_runs_are_counted_on() -> None:
    world = daily_world()
    broken(world, *(day.isoformat() for day in DAYS[1:4]))
    async with filling(world) as one:
        made = await one.create(DAYS[:6], max_parallel=1, max_failures=2)
        paused = await one.until(made, BackfillState.PAUSED)
        assert paused.paused is not None
        assert paused.paused.by == "platform"
        assert "2 of its runs failed" in paused.paused.reason
        assert [run.state for run in one.runs(made).values()] == ["SUCCEEDED", "FAILED", "FAILED"]
        broken(world)
        for day in DAYS[1:3]:
            await one.orchestrator.retry(one.runs(made)[day])
        await one.quiet()
        assert one.backfills.find(made.name).state is BackfillState.PAUSED
        await one.backfills.resume(made.name, by="key1")
        await one.until(made, FINISHED)
        assert [run.state for run in one.runs(made).values()] == ["SUCCEEDED"] * 6
        assert [run.attempt for run in one.runs(made).values()] == [1, 2, 2, 1, 1, 1]


async def test_a_retry_takes_one_of_the_tenants_live_runs_as_any_other_does() -> None:
    world = daily_world()
    failed = DAYS[:2]
    broken(world, *(day.isoformat() for day in failed))
    async with filling(world) as one:
        made = await one.create(failed)
        await one.until(made, FINISHED)
        broken(world)
        world.hang()
        first, second = one.runs(made).values()
        await one.orchestrator.retry(first, share=Share(live_run_count=1))
        with pytest.raises(TooManyRuns):
            await one.orchestrator.retry(second, share=Share(live_run_count=1))


async def test_it_ends_with_windows_that_failed_and_a_retry_afterwards_is_counted() -> None:
    world = daily_world()
    broken(world, DAYS[1].isoformat())
    async with filling(world) as one:
        made = await one.create(DAYS[:3])
        await one.until(made, FINISHED)
        broken(world)
        await one.orchestrator.rest(await one.orchestrator.retry(one.runs(made)[DAYS[1]]))
        assert {run.state for run in one.runs(made).values()} == {"SUCCEEDED"}
        assert one.backfills.find(made.name).state is FINISHED


async def test_a_held_run_keeps_no_other_waiting_and_is_approved_whenever() -> None:
    world = daily_world()
    held = DAYS[1].isoformat()
    world.source.inputs[held].append(Item(scope=held, money=("7",), bad=True))
    async with filling(world) as one:
        made = await one.create(DAYS[:4], max_parallel=1)
        await one.until(made, FINISHED)
        states = [run.state for run in one.runs(made).values()]
        assert states == ["SUCCEEDED", "HELD", "SUCCEEDED", "SUCCEEDED"]
        await one.orchestrator.approve(one.runs(made)[DAYS[1]])
        await one.orchestrator.rest(one.runs(made)[DAYS[1]])
        assert one.runs(made)[DAYS[1]].state is RunState.SUCCEEDED


async def test_a_paused_one_lets_live_runs_end_and_starts_none() -> None:
    world = daily_world()
    event = world.hang()
    async with filling(world) as one:
        made = await one.create(max_parallel=2)
        while len(one.runs(made)) < 2:
            await asyncio.sleep(0)
        await one.backfills.pause(made.name, by="key1", reason="")
        event.set()
        await one.quiet()
        assert {run.state for run in one.runs(made).values()} == {"SUCCEEDED"}
        assert len(one.runs(made)) == 2


async def test_what_ends_while_it_is_paused_is_finished() -> None:
    world = daily_world()
    event = world.hang()
    async with filling(world) as one:
        made = await one.create(DAYS[:2], max_parallel=2)
        while len(one.runs(made)) < 2:
            await asyncio.sleep(0)
        await one.backfills.pause(made.name, by="key1", reason="")
        event.set()
        await one.until(made, FINISHED)


async def test_cancelling_stops_live_runs_and_leaves_what_waits_for_a_person() -> None:
    world = daily_world()
    first = DAYS[0].isoformat()
    world.source.inputs[first].append(Item(scope=first, money=("7",), bad=True))
    async with filling(world) as one:
        made = await one.create(DAYS[:1])
        await one.until(made, FINISHED)
        world.hang()
        other = await one.create(DAYS[1:6], request=2)
        while len(one.live(other)) < 2:
            await asyncio.sleep(0)
        await one.backfills.cancel(other.name, by="key1", reason="wrong range")
        done = await one.until(other, BackfillState.CANCELLED)
        cancels = [run.cancel for run in one.runs(other).values()]
        assert [(c.by, c.reason) for c in cancels if c] == [("key1", "wrong range")] * 2
        assert done.end_time is not None
        assert one.runs(made)[DAYS[0]].state is RunState.HELD
        assert world.published(daily()) == []


async def test_a_live_run_is_never_refused_because_of_a_backfill() -> None:
    world = daily_world()
    event = world.hang()
    async with filling(world) as one:
        made = await one.create(DAYS[6:12], max_parallel=4)
        while len(one.live(made)) < 4:
            await asyncio.sleep(0)
        run = await live_run(one, 6, lookback=1, most=1)
        assert run.created.window_start == one.runs(made)[DAYS[6]].created.window_start
        with pytest.raises(RunAlreadyActive):
            await live_run(one, 6, lookback=1)
        event.set()
        await one.until(made, FINISHED)
        assert (await one.orchestrator.rest(run)).state is RunState.SUCCEEDED


async def test_a_window_that_a_live_run_reads_waits_for_its_end() -> None:
    world = daily_world()
    event = world.hang()
    async with filling(world) as one:
        run = await live_run(one, 8)
        made = await one.create(DAYS[:12], max_parallel=16)
        while not one.live(made):
            await asyncio.sleep(0)
        assert list(one.runs(made)) == [*DAYS[:2], *DAYS[9:12]]
        event.set()
        await one.until(made, FINISHED)
        end = one.ledger.history[run.name][-1].position
        later = [one.ledger.begun(one.runs(made)[day]) for day in DAYS[2:9]]
        assert min(later) > end


async def test_a_backfill_that_looked_earlier_overwrites_nothing_that_a_live_run_saw_later() -> (
    None
):
    world = daily_world()
    event = world.hang()
    async with filling(world) as one:
        made = await one.create(DAYS[6:7])
        while not any(worker.seen for worker in world.workers):
            await asyncio.sleep(0)
        for worker in world.workers:
            worker.hang = None
        text = DAYS[6].isoformat()
        restated = [Item(scope=text, money=("2",), key=text)]
        before, world.source.inputs[text] = world.source.inputs[text], restated
        live = await one.orchestrator.rest(await live_run(one, 6, lookback=1))
        assert live.state is RunState.SUCCEEDED
        world.source.inputs[text] = before
        event.set()
        await one.until(made, FINISHED)
        assert one.runs(made)[DAYS[6]].state is RunState.SUPERSEDED
        assert world.published(daily()) == [(text, "2")]


async def test_a_live_run_that_a_backfill_overtook_on_one_day_publishes_all_others() -> None:
    world = daily_world()
    text = DAYS[6].isoformat()
    world.source.inputs[text].append(Item(scope=text, money=("7",), bad=True))
    async with filling(world) as one:
        live = await one.orchestrator.rest(await live_run(one, 6))
        assert live.state is RunState.HELD
        day = DAYS[3].isoformat()
        world.source.inputs[day] = [Item(scope=day, money=("9",), key=day)]
        await one.until(await one.create(DAYS[3:4]), FINISHED)
        assert one.ledger.runs[live.name].state is RunState.HELD
        await one.orchestrator.approve(live)
        after = await one.orchestrator.rest(live)
        assert after.state is RunState.SUCCEEDED
        assert after.publishing is not None
        assert after.publishing.left_out == (("day", (day,)),)
        money = dict(world.published(daily()))
        assert money == {d.isoformat(): "9" if d == DAYS[3] else "1.5" for d in DAYS[:7]}


async def test_a_tenants_backfills_share_so_many_live_runs() -> None:
    world = daily_world()
    event = world.hang()
    async with filling(world) as one:
        names = ("p_daily", "p_second")
        given = [daily(pipeline=name) for name in names]
        for number, spec_ in enumerate(given):
            await one.create(DAYS[:16], request=number, spec_=spec_, max_parallel=16)
        while one.ledger.live("acme_corp", of_backfills=True) < MOST_RUNS:
            await asyncio.sleep(0)
        for _ in range(200):
            await asyncio.sleep(0)
            assert one.ledger.live("acme_corp", of_backfills=True) == MOST_RUNS
        other = daily(pipeline="p_daily", tenant="widgetsinc")
        neighbour = await one.create(DAYS[:3], request=1, spec_=other, max_parallel=3)
        while len(one.live(neighbour)) < 3:
            await asyncio.sleep(0)
        event.set()
        for backfill in list(one.ledger.backfills.by_name.values()):
            await one.until(backfill, FINISHED)


async def test_what_is_created_while_another_is_looked_at_is_looked_at_too() -> None:
    world = daily_world()
    async with filling(world) as one:
        first = await one.create(DAYS[:2])
        world.journals.gate = asyncio.Event()
        while not one.runs(first):
            await asyncio.sleep(0)
        other = daily(tenant="widgetsinc")
        creating = asyncio.create_task(one.create(DAYS[:2], spec_=other))
        while len(one.ledger.backfills.by_name) < 2:
            await asyncio.sleep(0)
        world.journals.gate.set()
        await one.until(await creating, FINISHED)


class Suspended(FailedPrecondition):
    """A tenant whose runs get no token."""

    reason = "TENANT_SUSPENDED"


async def test_the_runs_of_a_suspended_tenant_pause_it() -> None:
    world = daily_world()
    for worker in workers(world):
        worker.failures = [Suspended("the tenant is suspended") for _ in range(9)]
    async with filling(world) as one:
        made = await one.create(max_parallel=1, max_failures=2)
        await one.until(made, BackfillState.PAUSED)
        assert [run.state for run in one.runs(made).values()] == ["CANCELLED"] * 2
        for worker in workers(world):
            worker.failures = []
        await one.backfills.resume(made.name, by="key1")
        await one.until(made, FINISHED)


async def test_a_run_that_the_journal_cannot_hold_pauses_it_and_ends_nothing_else() -> None:
    world = daily_world()
    event = world.hang()
    async with filling(world) as one:
        made = await one.create(DAYS[:4], max_parallel=1)
        while not one.live(made):
            await asyncio.sleep(0)
        largest, world.journals.largest_bytes = world.journals.largest_bytes, 1500
        event.set()
        paused = await one.until(made, BackfillState.PAUSED)
        assert paused.paused is not None
        assert paused.paused.reason.startswith("a run could not be created: a record run.created")
        world.journals.largest_bytes = largest
        await one.backfills.resume(made.name, by="key1")
        await one.until(made, FINISHED)
        assert len(one.runs(made)) == 4

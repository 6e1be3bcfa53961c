"""A scheduled run waits until others have succeeded for the day that it is for, and not for ever."""

from datetime import UTC, datetime, timedelta

import pytest

from libs.common.names import PipelineName
from services.orchestrator.conductor.awaiting import missing_of
from services.orchestrator.conductor.commands import Fire
from services.orchestrator.conductor.presence import present_of
from services.orchestrator.explanations.waiting import where
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import ColumnSpec, PipelineSpec, WindowSpec, WriteSpec
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.conductor.world import PIPELINE, Orchestrator, World, spec

UPSTREAM = PipelineName("acme_corp", "p_up")
FIRE = datetime(2026, 11, 20, 6, tzinfo=UTC)


def world() -> World:
    return World.of(a_csv=[Item(scope="a.csv", money=("1.5",))])


def about_days(pipeline: str, *, lookback: int = 1, timezone: str = "UTC") -> PipelineSpec:
    window = WindowSpec(lookback_days=lookback, lag_days=1, timezone=timezone)
    day = ColumnSpec(name="day", type="DATE")
    made = spec()
    return made.model_copy(
        update={
            "pipeline": pipeline,
            "window": window,
            "columns": (*made.columns, day),
            "write": WriteSpec(mode="append"),
        }
    )


def fire(
    started: Orchestrator,
    *,
    hours: float = 12,
    lookback: int = 3,
    after: tuple[str, ...] = ("p_up",),
) -> Run:
    """The run of a fire of 20 November, so for the 19th, that waits for others."""
    wanted = Fire(
        pipeline=PIPELINE,
        run="s1",
        fire_time=FIRE,
        after=after,
        patience=timedelta(hours=hours),
    )
    return started.commands.fire(wanted, about_days("p_bill", lookback=lookback))


async def upstream(started: Orchestrator, moment: datetime, lookback: int = 1) -> Run:
    of = about_days("p_up", lookback=lookback)
    run = await started.start(of, pipeline=UPSTREAM, moment=moment)
    return await started.until(run, RunState.SUCCEEDED)


async def test_a_run_waits_for_a_success_that_contains_its_day_and_no_other() -> None:
    made = world()
    async with made.orchestrator() as started:
        await upstream(started, FIRE - timedelta(days=2))
        run = fire(started)
        ledger = started.conductor.mesh.history.ledger
        assert missing_of(ledger, run) == (str(UPSTREAM),)
        assert run.lane is Lane.SCHEDULED
        await started.until(run, RunState.PENDING)
        assert list(where(run, present_of(started.conductor, run))) == [
            f"It waits for {UPSTREAM} to succeed for the same day, at most until 2026-11-21 00:00 UTC."
        ]
        await upstream(started, FIRE - timedelta(days=1))
        done = await started.until(run, RunState.SUCCEEDED)
        assert missing_of(ledger, done) == ()


async def test_a_run_that_waits_names_only_those_that_have_not_succeeded() -> None:
    async with world().orchestrator() as started:
        await upstream(started, FIRE - timedelta(days=1))
        run = fire(started, after=("p_up", "p_late"))
        await started.until(run, RunState.PENDING)
        late = PipelineName("acme_corp", "p_late")
        (text,) = where(run, present_of(started.conductor, run))
        assert text.startswith(f"It waits for {late} to succeed for the same day")


async def test_a_success_of_before_counts_and_its_lookback_does() -> None:
    async with world().orchestrator() as started:
        await upstream(started, FIRE - timedelta(days=1), lookback=7)
        run = fire(started)
        assert missing_of(started.conductor.mesh.history.ledger, run) == ()
        await started.until(run, RunState.SUCCEEDED)


async def test_a_run_that_waits_in_vain_fails_and_can_be_made_to_go_on() -> None:
    async with world().orchestrator() as started:
        run = await started.until(fire(started, hours=1), RunState.FAILED)
        assert run.failure is not None
        assert (run.failure.kind, run.failure.reason) == ("source", "UPSTREAM_TIMED_OUT")
        assert run.failure.metadata == {"pipelines": str(UPSTREAM)}
        assert "goes on without waiting" in run.failure.advice
        again = await started.retry(run)
        assert again.state is not RunState.PENDING
        await started.until(again, RunState.SUCCEEDED)


async def test_time_spent_waiting_is_not_counted_against_the_run() -> None:
    made = world()
    async with made.orchestrator() as started:
        run = fire(started, hours=12)
        await started.until(run, RunState.PENDING)
        made.clock.now += timedelta(hours=3)
        assert run.spec.limits.timeout_seconds < 3 * 3600
        await upstream(started, FIRE - timedelta(days=1))
        await started.until(run, RunState.SUCCEEDED)


async def test_a_run_that_waits_can_be_cancelled_and_a_successor_waits_on() -> None:
    made = world()
    async with made.orchestrator() as started:
        run = fire(started)
        await started.until(run, RunState.PENDING)
    async with made.orchestrator() as started:
        assert started.commands.find(run.name).state is RunState.PENDING
        await started.commands.cancel(run.name, by="key1", reason="no")
        await started.until(run, RunState.CANCELLED)


@pytest.mark.parametrize(("timezone", "waits"), [("UTC", False), ("America/New_York", True)])
async def test_days_of_another_zone_are_other_days(timezone: str, waits: bool) -> None:
    async with world().orchestrator() as started:
        of = about_days("p_up", timezone=timezone)
        run = await started.start(of, pipeline=UPSTREAM, moment=FIRE - timedelta(days=1))
        await started.until(run, RunState.SUCCEEDED)
        mine = fire(started)
        assert bool(missing_of(started.conductor.mesh.history.ledger, mine)) == waits

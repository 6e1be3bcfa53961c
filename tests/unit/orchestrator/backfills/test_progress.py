"""How far a backfill is: counts, sums to the last digit, troubles, and when it will end."""

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from services.orchestrator.backfills.backfill import Backfill, BackfillState
from services.orchestrator.backfills.progress import Tally, progress_of, troubles_of
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run, create
from services.orchestrator.runs.states import RunState
from services.orchestrator.workers.memory_workers import Item
from tests.unit.orchestrator.backfills.daily import DAYS, PIPELINE, daily, daily_world, filling
from tests.unit.orchestrator.backfills.test_backfill import CREATED, NAME
from tests.unit.orchestrator.conductor.world import NOON

MINUTE = timedelta(minutes=1)


def backfill(state: BackfillState = BackfillState.RUNNING, windows: int = 10) -> Backfill:
    return Backfill(
        name=NAME,
        created=CREATED.model_copy(update={"days": DAYS[:windows], "max_parallel": 4}),
        state=state,
        begun=1,
        position=1,
        forgiven=1,
        create_time=NOON,
        update_time=NOON,
    )


def run(state: RunState, *, minutes: int = 0, begun: datetime = NOON) -> Run:
    """A run that was created at `begun` and took some minutes, if it rests."""
    spec = daily()
    created = r.RunCreated(spec=spec.canonical(), spec_hash="", request_id="", request_digest="")
    record = r.Record(
        event_id="e", position=1, epoch=1, run=str(PIPELINE.run("r1")), time=begun, detail=created
    )
    end = begun + minutes * MINUTE if minutes else None
    return dataclasses.replace(create(record, created), state=state, end_time=end)


def test_windows_are_counted_by_the_states_of_their_runs_and_add_up() -> None:
    progress = progress_of(backfill(windows=18), [run(state) for state in RunState], now=NOON)
    live = (progress.waiting, progress.running)
    ended = (progress.succeeded, progress.superseded, progress.cancelled)
    assert (live, ended, progress.held, progress.failed) == ((5, 7), (1, 1, 1), 1, 2)
    assert progress.windows == sum((*live, *ended, progress.held, progress.failed))


@pytest.mark.parametrize(
    ("runs", "minutes"),
    [
        ([], None),
        ([run(RunState.FAILED, minutes=3)], None),
        ([run(RunState.SUCCEEDED, minutes=6)], 6 * 9),
        ([run(RunState.SUCCEEDED, minutes=m) for m in (4, 8)], 6 * 8),
        ([run(RunState.SUCCEEDED, minutes=6), *[run(RunState.INGESTING)] * 3], 6 * 9 / 3),
        (
            [
                run(RunState.SUCCEEDED, minutes=6),
                *[run(RunState.INGESTING, begun=NOON - 3 * MINUTE)] * 3,
            ],
            (6 * 9 - 3 * 3) / 3,
        ),
        (
            [
                run(RunState.SUCCEEDED, minutes=6),
                *[run(RunState.PLANNING, begun=NOON - 60 * MINUTE)] * 2,
            ],
            (6 * 9 - 2 * 6) / 2,
        ),
    ],
)
def test_the_end_is_where_windows_go_on_taking_as_long(
    runs: Sequence[Run], minutes: float | None
) -> None:
    end = progress_of(backfill(), runs, now=NOON).estimated_end
    assert end == (None if minutes is None else NOON + minutes * MINUTE)


@pytest.mark.parametrize("state", sorted(set(BackfillState) - {BackfillState.RUNNING}))
def test_nothing_is_estimated_of_one_that_does_not_run(state: BackfillState) -> None:
    runs = [run(RunState.SUCCEEDED, minutes=6)]
    assert progress_of(backfill(state), runs, now=NOON).estimated_end is None


async def test_rows_and_money_are_those_of_the_receipts_and_troubles_say_why() -> None:
    world = daily_world(DAYS[:3])
    tiny, held = "0." + "0" * 38 + "1", DAYS[1].isoformat()
    first = DAYS[0].isoformat()
    world.source.inputs[first] = [Item(scope=first, money=(tiny,)), Item(scope=first, money=("1",))]
    world.source.inputs[held].append(Item(scope=held, money=("7",), bad=True))
    async with filling(world) as one:
        made = await one.create(DAYS[:3])
        await one.until(made, BackfillState.FINISHED)
        runs = one.runs(made)
        tally = Tally()
        sums = await tally.sums(tuple(runs.values()))
        assert (sums.read_row_count, sums.landed_row_count, sums.read_bytes) == (3, 3, 300)
        landed = Decimal("2.5" + "0" * 37 + "1")
        assert [(m.column, m.read, m.landed) for m in sums.money] == [("cost", landed, landed)]
        assert await tally.sums(tuple(runs.values())) == sums
        await one.orchestrator.approve(runs[DAYS[1]])
        await one.quiet()
        assert (await tally.sums(tuple(one.runs(made).values()))).landed_row_count == 4
        (trouble,) = troubles_of(runs.items())
        assert (trouble.day, trouble.run.state) == (DAYS[1], RunState.HELD)
        assert "quarantine" in trouble.cause


async def test_a_tally_keeps_the_receipts_of_so_many_runs_and_sums_up_all() -> None:
    async with filling(daily_world(DAYS[:3])) as one:
        made = await one.create(DAYS[:3])
        await one.until(made, BackfillState.FINISHED)
        runs = tuple(one.runs(made).values())
        tally = Tally(most_known=2)
        for _ in range(2):
            assert await tally.sums(runs) == await Tally().sums(runs)
            assert list(tally.known) == [run.name for run in runs[1:]]

"""The fold of backfills: allowed moves, and its state as JSON."""

import itertools
from datetime import date, timedelta

import pytest

from libs.common.names import BackfillName, PipelineName
from services.orchestrator.backfills.backfill import (
    KEPT,
    NEXT,
    Backfill,
    Backfills,
    BackfillState,
    BackfillStateMismatch,
)
from services.orchestrator.runs import records as r
from tests.unit.orchestrator.conductor.world import NOON

NAME = BackfillName("acme_corp", "p_daily", "b1")
DAYS = tuple(date(2026, 11, n) for n in (3, 2, 1))
CREATED = r.BackfillCreated(
    backfill=str(NAME),
    spec="{}",
    spec_hash="0",
    request_id="q1",
    request_facts={"reason": "why"},
    start=DAYS[-1],
    end=date(2026, 11, 4),
    newest_first=True,
    days=DAYS,
    max_parallel=2,
    max_failures=3,
    share=r.Share(slot_weight=2.5),
)
MOVES: dict[BackfillState, r.BackfillDetail] = {
    BackfillState.PAUSED: r.BackfillPaused(backfill=str(NAME), by="key1", reason="sick"),
    BackfillState.RUNNING: r.BackfillResumed(backfill=str(NAME), by="key1"),
    BackfillState.CANCELLING: r.BackfillCancelled(backfill=str(NAME), by="key1", reason="wrong"),
    BackfillState.FINISHED: r.BackfillFinished(backfill=str(NAME)),
    BackfillState.CANCELLED: r.BackfillFinished(backfill=str(NAME)),
}
WAYS: dict[BackfillState, tuple[BackfillState, ...]] = {
    BackfillState.RUNNING: (),
    BackfillState.PAUSED: (BackfillState.PAUSED,),
    BackfillState.CANCELLING: (BackfillState.CANCELLING,),
    BackfillState.FINISHED: (BackfillState.FINISHED,),
    BackfillState.CANCELLED: (BackfillState.CANCELLING, BackfillState.CANCELLED),
}


def add(backfills: Backfills, position: int, detail: r.BackfillDetail) -> Backfill:
    time = NOON + timedelta(seconds=position)
    record = r.Record(
        event_id=f"e{position}", position=position, epoch=1, run="", time=time, detail=detail
    )
    backfills.add(record)
    return backfills.by_name[NAME]


def at(state: BackfillState) -> Backfills:
    made = Backfills()
    add(made, 10, CREATED)
    for position, step in enumerate(WAYS[state], start=11):
        add(made, position, MOVES[step])
    assert made.by_name[NAME].state is state
    return made


@pytest.mark.parametrize(("state", "target"), list(itertools.product(BackfillState, repeat=2)))
def test_only_listed_moves_are_allowed(state: BackfillState, target: BackfillState) -> None:
    made = at(state)
    if target in NEXT[state] or (target.name in {"FINISHED", "CANCELLED"} and NEXT[state]):
        after = add(made, 20, MOVES[target])
        assert (after.position, after.update_time) == (20, NOON + timedelta(seconds=20))
        assert after.state in NEXT[state]
        return
    before = made.by_name[NAME]
    with pytest.raises(BackfillStateMismatch) as error:
        add(made, 20, MOVES[target])
    assert error.value.metadata["state"] == state
    assert made.by_name[NAME] is before


def test_what_ends_while_it_is_cancelled_is_cancelled() -> None:
    assert add(at(BackfillState.RUNNING), 20, MOVES[BackfillState.FINISHED]).state == "FINISHED"
    assert add(at(BackfillState.CANCELLING), 20, MOVES[BackfillState.FINISHED]).state == "CANCELLED"


def test_resuming_forgives_what_failed_before() -> None:
    made = at(BackfillState.PAUSED)
    assert made.by_name[NAME].forgiven == 10
    after = add(made, 20, MOVES[BackfillState.RUNNING])
    assert (after.forgiven, after.paused) == (20, None)


def test_a_pipeline_has_an_open_one_until_it_ends() -> None:
    parent = PipelineName("acme_corp", "p_daily")
    for state in BackfillState:
        made = at(state)
        is_open = state not in {BackfillState.FINISHED, BackfillState.CANCELLED}
        assert (made.open_of(parent) is not None) == is_open
        assert len(list(made.open())) == is_open


@pytest.mark.parametrize("state", BackfillState)
def test_state_goes_through_json_unchanged_and_goes_on_the_same(state: BackfillState) -> None:
    made = at(state)
    for day, run in zip(DAYS, ("r1", "r2"), strict=False):
        made.begin(NAME.parent.run(run), r.OfBackfill(backfill=str(NAME), day=day))
    restored = Backfills()
    restored.restore(list(made.snapshot()))
    assert restored == made
    assert restored.requests == {("acme_corp", "q1"): NAME}
    assert restored.runs(NAME) == {
        DAYS[0]: NAME.parent.run("r1"),
        DAYS[1]: NAME.parent.run("r2"),
    }
    for target in NEXT[state]:
        assert add(restored, 30, MOVES[target]) == add(made, 30, MOVES[target])
        break


@pytest.mark.parametrize(("apart", "known"), [(timedelta(days=1), KEPT), (timedelta(), 30)])
def test_backfills_that_ended_long_ago_are_forgotten_but_for_the_newest(
    apart: timedelta, known: int
) -> None:
    """All that anybody ever asked for was kept, with its spec and the runs of its windows."""
    made = Backfills()
    names = [NAME.parent.backfill(f"b{number}") for number in range(30)]
    for number, name in enumerate(names):
        steps = (
            CREATED.model_copy(update={"backfill": str(name), "request_id": f"q{number}"}),
            r.BackfillFinished(backfill=str(name)),
        )
        for detail in steps:
            position = 2 * number + (detail is steps[1]) + 1
            time = NOON + number * apart
            made.add(
                r.Record(
                    event_id=f"e{position}",
                    position=position,
                    epoch=1,
                    run="",
                    time=time,
                    detail=detail,
                )
            )
        made.begin(name.parent.run(f"r{number}"), r.OfBackfill(backfill=str(name), day=DAYS[0]))
    left = names[-known:]
    assert list(made.by_name) == left
    assert set(made.requests.values()) == set(left)
    assert [name for name in names if made.runs(name)] == left
    assert not list(made.open())

"""Lanes of a tenant take turns by weight, the urgent one first; none of them stops another."""

import dataclasses
import itertools
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.runs.lanes import WEIGHTS, Lane
from services.orchestrator.workers.lane_queue import MOST_GONE, LaneQueue


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class One:
    lane: Lane
    order: tuple[int, ...]


def crowd(queue: LaneQueue[One], *lanes: Lane, count: int = 100) -> None:
    for lane, number in itertools.product(lanes, range(count)):
        queue.join(One(lane, (number,)))


def served(queue: LaneQueue[One], count: int) -> list[Lane]:
    lanes = []
    for _ in range(count):
        one = queue.first()
        assert one is not None
        queue.take(one)
        lanes.append(one.lane)
    return lanes


def test_while_all_lanes_wait_each_has_turns_by_its_weight_and_the_urgent_one_begins() -> None:
    queue = LaneQueue[One]()
    crowd(queue, *reversed(Lane))
    turns = served(queue, 26)
    assert turns[:3] == list(Lane)
    for part in (turns[:13], turns[13:]):
        assert Counter(part) == WEIGHTS


@pytest.mark.parametrize("before", [Lane.BACKFILL, Lane.SCHEDULED])
def test_a_lane_that_comes_to_wait_goes_next_however_long_others_had_all_turns(
    before: Lane,
) -> None:
    queue = LaneQueue[One]()
    crowd(queue, before)
    assert set(served(queue, 50)) == {before}
    queue.join(One(Lane.INTERACTIVE, (0,)))
    assert served(queue, 2) == [Lane.INTERACTIVE, before]


def test_a_backfill_goes_on_while_somebody_asks_again_and_again() -> None:
    queue, turns = LaneQueue[One](), list[Lane]()
    crowd(queue, Lane.BACKFILL)
    for number in range(90):
        queue.join(One(Lane.INTERACTIVE, (number,)))
        turns += served(queue, 1)
    assert turns.count(Lane.BACKFILL) == 10


def test_turns_that_a_lane_did_not_want_are_not_kept_for_it() -> None:
    queue = LaneQueue[One]()
    crowd(queue, Lane.SCHEDULED)
    served(queue, 60)
    crowd(queue, Lane.INTERACTIVE)
    assert abs(served(queue, 24).count(Lane.SCHEDULED) - 8) <= 1


STEPS = st.lists(
    st.tuples(st.sampled_from(["join", "turn", "turn", "leave"]), st.sampled_from(list(Lane))),
    max_size=80,
)


@given(STEPS)
@settings(max_examples=100)
def test_between_two_turns_of_a_lane_that_waits_another_has_no_more_than_its_weight_allows(
    steps: list[tuple[str, Lane]],
) -> None:
    queue, waiting = LaneQueue[One](), list[One]()
    passed = {lane: Counter[Lane]() for lane in Lane}
    for number, (what, lane) in enumerate(steps):
        if what == "join":
            waiting.append(One(lane, (-number % 7,)))
            queue.join(waiting[-1])
        elif what == "leave" and any(one.lane is lane for one in waiting):
            queue.leave(one := next(one for one in waiting if one.lane is lane))
            waiting.remove(one)
        elif what == "turn" and waiting:
            first = queue.first()
            assert first is not None
            one = first
            assert one.order == min(o.order for o in waiting if o.lane is one.lane)
            queue.take(one)
            waiting.remove(one)
            passed[one.lane].clear()
            for other in Lane:
                passed[other][one.lane] += other is not one.lane
                most = math.ceil(WEIGHTS[one.lane] / WEIGHTS[other]) + 1
                assert passed[other][one.lane] <= most
        for other in Lane:
            if not any(one.lane is other for one in waiting):
                passed[other].clear()
        assert len(queue) == len(waiting)
        assert {x: queue.count(x) for x in Lane} == {
            x: sum(one.lane is x for one in waiting) for x in Lane
        }


def test_of_some_lanes_the_first_is_found_and_none_where_none_waits() -> None:
    queue = LaneQueue[One]()
    crowd(queue, Lane.BACKFILL, count=1)
    queue.join(asked := One(Lane.INTERACTIVE, (0,)))
    assert queue.first() is asked
    assert queue.first([Lane.SCHEDULED]) is None
    found = queue.first([Lane.SCHEDULED, Lane.BACKFILL])
    assert found is not None
    assert found.lane is Lane.BACKFILL


def test_whoever_leaves_out_of_thousands_leaves_no_hole_and_is_not_kept() -> None:
    queue = LaneQueue[One]()
    waiting = [One(Lane.BACKFILL, (number,)) for number in range(5000)]
    for one in waiting:
        queue.join(one)
    for one in waiting[:4000] + waiting[4001:]:
        queue.leave(one)
    assert queue.first() is waiting[4000]
    assert waiting[4000] in queue
    assert waiting[0] not in queue
    assert len(queue._lanes[Lane.BACKFILL].heap) <= MOST_GONE + 2

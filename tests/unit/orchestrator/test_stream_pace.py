"""In no hour more streams than BigQuery allows a project, and none held back without need."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.workers.stream_pace import BURST, HOUR_SECONDS, StreamPace

PER_HOUR = 50
"""Few, so that a story of hours is short."""


def opened(pace: StreamPace, wishes: list[float]) -> list[float]:
    """Return when streams were opened that were wished for one after another, after pauses."""
    now, times = 0.0, list[float]()
    for pause in wishes:
        now += pause
        now += pace.wait(now)
        pace.opened(now)
        times.append(now)
    return times


@given(st.lists(st.sampled_from([0.0, 0.0, 0.0, 1.0, 100.0, 700.0, 4000.0]), max_size=200))
@settings(max_examples=100)
def test_no_hour_has_more_streams_than_are_allowed(wishes: list[float]) -> None:
    times = opened(StreamPace(per_hour=PER_HOUR), wishes)
    for first, last in zip(times, times[PER_HOUR:], strict=False):
        assert last - first >= HOUR_SECONDS - 1e-6


def test_after_a_pause_a_fifth_goes_at_once_and_the_others_come_evenly() -> None:
    times = opened(StreamPace(per_hour=10_000), [0.0] * 2_100)
    assert max(times[:2_000]) < 1e-6
    gaps = {round(b - a, 6) for a, b in itertools.pairwise(times[2_000:])}
    assert gaps == {0.45}
    assert len(opened(StreamPace(per_hour=10_000), [0.45] * 5_000)) == 5_000
    assert opened(StreamPace(per_hour=10_000), [0.45] * 5_000)[-1] == pytest.approx(2_250)


def test_what_is_left_is_what_may_be_opened_at_once() -> None:
    pace, now = StreamPace(per_hour=PER_HOUR), 10.0
    assert pace.left(now) == PER_HOUR * BURST
    while not pace.wait(now):
        before = pace.left(now)
        pace.opened(now)
        assert pace.left(now) == before - 1
    assert pace.left(now) == 0
    assert pace.left(now + pace.wait(now)) == 1


def test_streams_that_nobody_waited_for_delay_the_next_ones() -> None:
    pace = StreamPace(per_hour=PER_HOUR)
    for _ in range(30):
        pace.opened(0.0)
    assert pace.wait(0.0) == pytest.approx(21 * 90.0)


def test_a_stream_that_was_not_opened_is_there_for_another() -> None:
    pace = StreamPace(per_hour=PER_HOUR)
    while not pace.wait(10.0):
        pace.opened(10.0)
    waited = pace.wait(10.0)
    pace.unopened()
    assert (pace.wait(10.0), pace.left(10.0)) == (0.0, 1)
    pace.opened(10.0)
    assert pace.wait(10.0) == pytest.approx(waited)


def test_streams_that_were_not_opened_after_a_pause_are_no_more_than_a_pause_allows() -> None:
    pace = StreamPace(per_hour=PER_HOUR)
    pace.opened(0.0)
    for _ in range(3):
        pace.unopened()
    assert pace.left(0.0) == PER_HOUR * BURST
    assert len([t for t in opened(pace, [0.0] * 20) if t == 0.0]) == PER_HOUR * BURST


def test_an_earlier_orchestrators_streams_count_from_when_they_were_opened() -> None:
    pace = StreamPace(per_hour=PER_HOUR)
    for seconds_ago in range(900, 0, -90):
        pace.opened(-float(seconds_ago))
    assert pace.wait(0.0) == 0.0
    assert pace.left(0.0) == PER_HOUR * BURST


def test_without_a_bound_nobody_waits() -> None:
    assert opened(StreamPace(per_hour=0), [0.0] * 100) == [0.0] * 100
    assert StreamPace(per_hour=0).left(0.0) == 0

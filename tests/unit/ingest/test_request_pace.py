"""Requests of a chunk are apart by its share of the provider's account, the first from the start."""

from services.ingest.sources.request_pace import RequestPace


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_request_is_earned_by_the_time_before_it_and_idle_time_is_not_kept() -> None:
    time = Time()
    pace = RequestPace(30.0, time)
    waits = []
    for took in (0.0, 0.5, 1.5, 60.0, 0.0):
        wait = pace.next()
        waits.append(wait)
        time.now += wait + took
    assert waits == [2.0, 2.0, 1.5, 0.5, 0.0]


def test_without_a_bound_nothing_is_waited_for() -> None:
    time = Time()
    pace = RequestPace(0.0, time)
    assert [pace.next() for _ in range(3)] == [0.0] * 3

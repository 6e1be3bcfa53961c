"""Whether the figures of a minute show what went wrong in it."""

import dataclasses

from bench.minute_figures import Begun, Placed, Seen, figures

GOOD = Seen(
    tenants=2,
    rows_each=6,
    minute=100.0,
    ended={"r1": 110.0, "r2": 111.0},
    chunks={"r1": 2, "r2": 1},
    rows={"r1": 6, "r2": 6},
    begun=[Begun("t1", "r1", 101.5), Begun("t2", "r2", 102.0), Begun("t1", "r1", 103.0)],
    placed=[
        Placed("t1", "r1", 2, 3, 0.5),
        Placed("t1", "r1", 3, 4, 0.0),
        Placed("t2", "r2", 3, 5, 1.0),
    ],
    calls=[(101.0 + n / 100, 0.1 if n else 0.24) for n in range(200)],
    cpu={"orchestrator": 3.0},
    load=0.5,
)


def missed(**changes: object) -> list[int]:
    """Return which figures miss their bars when something else was seen."""
    seen = dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]
    return [number for number, figure in enumerate(figures(seen)) if figure.missed]


def test_a_minute_as_promised_misses_nothing() -> None:
    assert missed() == []


def test_a_run_that_lacks_rows_or_did_not_end_is_missed() -> None:
    assert missed(rows={"r1": 6, "r2": 5}) == [0]
    assert missed(ended={"r1": 110.0}) == [0]


def test_a_second_try_of_one_run_is_missed_whatever_others_did() -> None:
    again = [Begun("t2", "r2", 103.0 + n) for n in range(2)]
    assert missed(begun=[*GOOD.begun, *again[:1]]) == []
    assert missed(begun=[*GOOD.begun, *again]) == [1]


def test_a_tenant_that_is_served_again_and_again_while_another_waits_is_missed() -> None:
    later = dataclasses.replace(GOOD.placed[2], turn=6)
    again = Placed("t1", "r3", 4, 5, 0.0)
    assert missed(placed=[*GOOD.placed[:2], again, later]) == [2]
    assert missed(placed=[*GOOD.placed[:2], dataclasses.replace(again, tenant="t3"), later]) == []


def test_only_first_chunks_count() -> None:
    """Whose run has a slot sees others being given theirs."""
    later = [Placed("t1", "r3", turn - 1, turn, 0.0) for turn in (6, 7)]
    second = Placed("t2", "r2", 5, 8, 1.0)
    assert missed(placed=[*GOOD.placed, *later, second]) == []


def test_slow_calls_are_missed_from_one_in_a_hundred_on() -> None:
    slow = [(101.0, 0.3)] * 3
    assert missed(calls=[*GOOD.calls, *slow[:2]]) == []
    assert missed(calls=[*GOOD.calls, *slow]) == [3]

"""Whether the figures of a minute show what went wrong in it."""

import dataclasses

from bench.minute_figures import Begun, Seen, figures

GOOD = Seen(
    tenants=2,
    rows_each=6,
    minute=100.0,
    waits={"t1": 101.0, "t2": 101.0},
    slots=2,
    ended={"r1": 110.0, "r2": 111.0},
    chunks={"r1": 2, "r2": 1},
    rows={"r1": 6, "r2": 6},
    begun=[
        *(Begun("t0", f"r0{n}", 100.0, 101.4) for n in range(2)),
        Begun("t1", "r1", 101.5, 102.5),
        Begun("t2", "r2", 102.0, 103.0),
        Begun("t1", "r1", 103.0, 104.0),
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
    again = [Begun("t2", "r2", 103.0 + n, 104.0 + n) for n in range(2)]
    assert missed(begun=[*GOOD.begun, *again[:1]]) == []
    assert missed(begun=[*GOOD.begun, *again]) == [1]


def test_a_tenant_that_is_served_again_and_again_while_another_waits_is_missed() -> None:
    more = Begun("t1", "r3", 101.6, 101.8)
    assert missed(begun=[*GOOD.begun, more]) == [2]


def test_a_chunk_that_was_given_before_and_begun_after_another_came_is_none_too_many() -> None:
    more = [Begun("t1", "r3", 101.6 + n / 10, 101.8) for n in range(2)]
    assert missed(begun=[*GOOD.begun[1:], more[0]]) == []
    assert missed(begun=[*GOOD.begun[1:], *more]) == [2]


def test_slow_calls_are_missed_from_one_in_a_hundred_on() -> None:
    slow = [(101.0, 0.3)] * 3
    assert missed(calls=[*GOOD.calls, *slow[:2]]) == []
    assert missed(calls=[*GOOD.calls, *slow]) == [3]

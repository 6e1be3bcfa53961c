"""What the campaign on the cluster calls a failed call: one that was not answered in time, tries included."""

from typing import Any

from tests.cluster.proof_disturbance import late


def call(*events: tuple[float, str], turn: str = "p#1") -> list[dict[str, Any]]:
    return [
        {"t": t, "kind": kind.partition(" ")[0], "turn": turn, "op": "create", "how": kind[8:]}
        for t, kind in events
    ]


def test_refusals_before_an_answer_in_time_are_no_failure() -> None:
    assert (
        late(call((0, "asked"), (1, "refused Unavailable"), (2, "asked"), (29, "answered"))) == []
    )


def test_an_answer_after_thirty_seconds_of_tries_is_one() -> None:
    events = call((0, "asked"), (20, "refused Unavailable"), (21, "asked"), (31, "answered"))
    assert late(events) == [("p#1", "create", 31)]


def test_a_call_that_is_never_answered_is_one() -> None:
    assert late(call((0, "asked"), (9, "refused Unavailable"))) == [("p#1", "create", float("inf"))]


def test_a_refusal_for_a_reason_of_its_own_is_an_answer() -> None:
    assert late(call((0, "asked"), (1, "refused FailedPrecondition"))) == []


def test_each_call_has_its_own_time() -> None:
    events = call((0, "asked"), (20, "answered"), (21, "asked"), (50, "answered"))
    assert late(events) == []

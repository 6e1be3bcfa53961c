"""Messages of runs are made once for many who ask, and anew when a record came."""

from datetime import timedelta

from convergence.orchestrator.v1.run_pb2 import RunState

from libs.common.names import RunName
from services.orchestrator.api.run_messages import MOST_KEPT, KeptMessages, run_message
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run, apply
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, spec


def record(name: RunName, position: int, detail: r.RunCreated | r.RunPlanning) -> r.Record:
    time = NOON + timedelta(seconds=position)
    return r.Record(
        event_id=str(position), position=position, epoch=1, run=str(name), time=time, detail=detail
    )


def created(run: str, position: int = 1) -> Run:
    detail = r.RunCreated(
        spec=spec().canonical(), spec_hash="h", request_id="q", request_digest="d"
    )
    return apply(None, record(PIPELINE.run(run), position, detail))


def test_a_run_that_has_not_changed_is_told_by_the_message_made_before() -> None:
    kept, run = KeptMessages(), created("r1")
    first = kept.of(run)
    assert first == run_message(run)
    assert kept.of(run) is first


def test_a_run_that_has_changed_is_told_anew() -> None:
    kept, before = KeptMessages(), created("r1")
    kept.of(before)
    after = apply(before, record(before.name, 2, r.RunPlanning()))
    message = kept.of(after)
    assert message == run_message(after)
    assert (message.state, message.position) == (RunState.RUN_STATE_PLANNING, 2)


def test_another_run_of_the_same_name_and_position_is_told_by_what_it_is() -> None:
    kept, one = KeptMessages(), created("r1")
    kept.of(one)
    other = apply(created("r1"), record(one.name, 1, r.RunPlanning()))
    assert kept.of(other) == run_message(other) != run_message(one)


def test_a_bounded_number_of_messages_is_kept_those_asked_for_last() -> None:
    kept = KeptMessages()
    runs = [created(f"r{number}") for number in range(MOST_KEPT + 1)]
    messages = [kept.of(run) for run in runs[:-1]]
    assert kept.of(runs[0]) is messages[0]
    kept.of(runs[-1])
    assert kept.of(runs[0]) is messages[0]
    assert kept.of(runs[1]) is not messages[1]

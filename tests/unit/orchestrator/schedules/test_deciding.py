"""Decisions as a function: of a paused schedule none, and always the same run for a fire."""

from datetime import datetime
from typing import get_args

import pytest

from services.orchestrator.schedules.deciding import Around, decide, due, ready
from services.orchestrator.schedules.records import Decision
from services.orchestrator.schedules.schedule import Pause, Schedule, request_id, run_id
from services.orchestrator.specs import ScheduleSpec
from tests.unit.orchestrator.schedules.watched import at

NAME = "tenants/acme_corp/pipelines/p_bill"
HOURLY = Schedule(
    pipeline=NAME, spec=ScheduleSpec(cron="0 * * * *"), cursor=at("20 00:00"), position=1
)
START = Decision(fire_time=at("20 00:00"), verdict="start", run="s1")
WAITS = Decision(fire_time=at("20 00:00"), verdict="buffer", cause="overlap")


def verdicts(schedule: Schedule) -> list[tuple[str, str]]:
    decided = decide(schedule, at("20 01:00"), Around())
    return [(one.verdict, one.run) for one in decided.decisions] if decided else []


def test_a_fire_has_the_same_run_and_request_wherever_it_is_decided() -> None:
    assert verdicts(HOURLY) == [("start", "s20261120t010000_a99d0629")] == verdicts(HOURLY)
    assert str(request_id(NAME, at("20 01:00"))) == "4954561f-faf0-591c-95e0-3e1dc72c0149"
    assert run_id(NAME, at("20 01:00")) != run_id(f"{NAME}s", at("20 01:00"))


def test_nothing_is_decided_of_a_schedule_that_is_paused_or_gone() -> None:
    pause = Pause(by="key1", reason="why", time=at("20 00:00"))
    assert verdicts(HOURLY.model_copy(update={"pause": pause})) == []
    assert verdicts(HOURLY.model_copy(update={"gone": True})) == []


def test_a_start_whose_run_is_not_created_yet_is_in_the_way() -> None:
    assert verdicts(HOURLY.model_copy(update={"starting": (START,)})) == [("skip", "")]


@pytest.mark.parametrize("overlap", get_args(ScheduleSpec.model_fields["overlap"].annotation))
@pytest.mark.parametrize("live", [(), ("r1",)])
@pytest.mark.parametrize("starting", [(), (START,)])
@pytest.mark.parametrize("waiting", [(), (WAITS,)])
@pytest.mark.parametrize("now", [at("20 00:59"), at("20 01:00")])
def test_there_is_something_to_decide_where_a_fire_is_due_or_one_that_waits_may_start(
    overlap: str,
    live: tuple[str, ...],
    starting: tuple[Decision, ...],
    waiting: tuple[Decision, ...],
    now: datetime,
) -> None:
    spec = HOURLY.spec.model_copy(update={"overlap": overlap})
    schedule = HOURLY.model_copy(update={"spec": spec, "starting": starting, "waiting": waiting})
    around = Around(live=live)
    something = due(schedule, now) or ready(schedule, around)
    assert something == (decide(schedule, now, around) is not None)

"""Schedules as messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from convergence.orchestrator.v1 import run_pb2, schedule_pb2
from google.protobuf import duration_pb2

from libs.common.names import PipelineName, RunName
from services.orchestrator.api.run_messages import stamp
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.windows import window_of
from services.orchestrator.schedules.deciding import due_time
from services.orchestrator.schedules.fires import jitter_of, next_fires
from services.orchestrator.schedules.records import Decision
from services.orchestrator.schedules.schedule import Outcome, Schedule
from services.orchestrator.specs import PipelineSpec

NEXT: Final = 5

UNSPECIFIED: Final = "unspecified"

OUTCOMES: Final = {"start": "STARTED", "skip": "SKIPPED", "miss": "MISSED", "refuse": "REFUSED"}


def schedule_message(
    schedule: Schedule,
    spec: PipelineSpec | None,
    runs: Mapping[RunName, Run],
    now: datetime,
    hindrance: str,
) -> schedule_pb2.Schedule:
    """Return a schedule: what it says, what it will do, what it did."""
    name, said = PipelineName.parse(schedule.pipeline), schedule.spec
    message = schedule_pb2.Schedule(
        name=f"{name}/schedule",
        cron=said.cron,
        time_zone=said.timezone,
        overlap=f"OVERLAP_POLICY_{said.overlap.upper()}",
        jitter=_span(int(jitter_of(schedule.pipeline, said.jitter_seconds).total_seconds())),
        catch_up=_span(said.catch_up_seconds),
        after=[str(PipelineName(name.tenant, other)) for other in said.after],
        hindrance=hindrance,
        next_fires=[
            _next(schedule, spec, fire)
            for fire in next_fires(said.cron, said.timezone, max(now, schedule.cursor), NEXT)
        ],
        waiting_fires=[_waiting(name, one) for one in schedule.waiting],
        last_fires=[_fire(name, outcome, runs) for outcome in reversed(schedule.recent)],
    )
    if said.after:
        message.after_timeout.CopyFrom(_span(said.after_timeout_seconds))
    if pause := schedule.pause:
        message.pause.by, message.pause.reason = pause.by, pause.reason
        message.pause.pause_time.FromDatetime(pause.time)
    return message


def _span(seconds: int) -> duration_pb2.Duration:
    return duration_pb2.Duration(seconds=seconds)


def _next(schedule: Schedule, spec: PipelineSpec | None, fire: datetime) -> schedule_pb2.NextFire:
    window = window_of(spec, None, now=fire) if spec else None
    message = schedule_pb2.NextFire(fire_time=stamp(fire), due_time=stamp(due_time(schedule, fire)))
    if window:
        message.window.start_time.FromDatetime(window.start)
        message.window.end_time.FromDatetime(window.end)
    return message


def _waiting(name: PipelineName, one: Decision) -> schedule_pb2.WaitingFire:
    return schedule_pb2.WaitingFire(
        fire_time=stamp(one.fire_time),
        cause=f"FIRE_CAUSE_{(one.cause or UNSPECIFIED).upper()}",
        cancels=[str(name.run(run)) for run in one.cancels],
    )


def _fire(name: PipelineName, outcome: Outcome, runs: Mapping[RunName, Run]) -> schedule_pb2.Fire:
    one = outcome.decision
    run = name.run(one.run) if one.run else None
    known = runs.get(run) if run else None
    return schedule_pb2.Fire(
        fire_time=stamp(one.fire_time),
        last_fire_time=stamp(one.last_fire_time),
        fire_count=one.fire_count,
        outcome=f"FIRE_OUTCOME_{OUTCOMES[one.verdict]}",
        cause=f"FIRE_CAUSE_{(one.cause or UNSPECIFIED).upper()}",
        run=str(run) if run else "",
        run_state=f"RUN_STATE_{known.state}" if known else run_pb2.RUN_STATE_UNSPECIFIED,
        message=one.message,
        decide_time=stamp(outcome.time),
    )

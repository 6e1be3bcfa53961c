"""ScheduleService: messages to the scheduler and back."""

from collections.abc import Mapping, Sequence
from typing import Final

from convergence.orchestrator.v1 import (
    schedule_pb2,
    schedule_service_pb2,
    schedule_service_pb2_grpc,
)

from libs.common.identity import caller
from libs.common.names import PipelineName, RunName, ScheduleName, TenantName
from libs.common.paging import Page
from libs.common.parse import Reading
from libs.common.rpc import Context
from services.orchestrator.active import Active, Seat
from services.orchestrator.api.schedule_messages import schedule_message
from services.orchestrator.runs.run import Run
from services.orchestrator.schedules.schedule import Schedule

LONGEST_REASON: Final = 500


class ScheduleServicer(schedule_service_pb2_grpc.ScheduleServiceServicer):
    """Translates; decides nothing. Every call needs the seat of the active orchestrator."""

    def __init__(self, seat: Seat) -> None:
        self._seat = seat

    async def GetSchedule(
        self, request: schedule_service_pb2.GetScheduleRequest, context: Context
    ) -> schedule_service_pb2.GetScheduleResponse:
        active = await self._seat.soon()
        name = _name(request.name)
        active.scheduler.find(name)
        schedule = await active.scheduler.settled(name)
        return schedule_service_pb2.GetScheduleResponse(schedule=await _message(active, schedule))

    async def ListSchedules(
        self, request: schedule_service_pb2.ListSchedulesRequest, context: Context
    ) -> schedule_service_pb2.ListSchedulesResponse:
        active = await self._seat.soon()
        with Reading() as read:
            parent = read("parent", TenantName.parse, request.parent)
        query = f"schedules:{request.parent}"
        page = Page(asked=request.page_size, token=request.page_token, query=query)
        some, token = page.of(active.scheduler.of(parent.tenant))
        schedules = [await active.scheduler.settled(name) for name in some]
        runs = active.ledger.runs
        known = {name: runs[name] for name in _fired(*schedules) if name in runs}
        return schedule_service_pb2.ListSchedulesResponse(
            schedules=await _messages(active, schedules, known), next_page_token=token
        )

    async def PauseSchedule(
        self, request: schedule_service_pb2.PauseScheduleRequest, context: Context
    ) -> schedule_service_pb2.PauseScheduleResponse:
        active = await self._seat.soon()
        with Reading() as read:
            name = read("name", ScheduleName.parse, request.name)
            reason = read("reason", _reason, request.reason)
        schedule = await active.scheduler.pause(name.parent, by=caller().key_id, reason=reason)
        return schedule_service_pb2.PauseScheduleResponse(schedule=await _message(active, schedule))

    async def ResumeSchedule(
        self, request: schedule_service_pb2.ResumeScheduleRequest, context: Context
    ) -> schedule_service_pb2.ResumeScheduleResponse:
        active = await self._seat.soon()
        name = _name(request.name)
        schedule = await active.scheduler.resume(name, by=caller().key_id)
        return schedule_service_pb2.ResumeScheduleResponse(
            schedule=await _message(active, schedule)
        )


def _name(text: str) -> PipelineName:
    with Reading() as read:
        return read("name", ScheduleName.parse, text).parent


def _reason(text: str) -> str:
    if not text.strip() or len(text) > LONGEST_REASON:
        found = "none" if not text.strip() else f"{len(text)} characters"
        raise ValueError(f"found {found}; allowed is why, in 1 to {LONGEST_REASON} characters")
    return text


def _fired(*schedules: Schedule) -> list[RunName]:
    """Return the runs that the last fires of schedules name."""
    return [
        PipelineName.parse(schedule.pipeline).run(outcome.decision.run)
        for schedule in schedules
        for outcome in schedule.recent
        if outcome.decision.run
    ]


async def _message(active: Active, schedule: Schedule) -> schedule_pb2.Schedule:
    """Return a schedule with the states of all runs that it names, however old. Raises Unavailable."""
    runs = await active.commands.reader.runs(_fired(schedule))
    (message,) = await _messages(active, [schedule], runs)
    return message


async def _messages(
    active: Active, schedules: Sequence[Schedule], runs: Mapping[RunName, Run]
) -> list[schedule_pb2.Schedule]:
    """Return schedules when all that is said of their runs is durable. Raises JournalUnavailable."""
    await active.commands.durable(max((run.position for run in runs.values()), default=0))
    return [
        schedule_message(
            schedule,
            active.scheduler.spec(name := PipelineName.parse(schedule.pipeline)),
            runs,
            active.mesh.clock(),
            active.scheduler.hindrances.get(name, ""),
        )
        for schedule in schedules
    ]

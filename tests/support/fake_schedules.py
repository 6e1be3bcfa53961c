"""A ScheduleService of one schedule, for tests of clients."""

from typing import Any

import grpc.aio
from convergence.orchestrator.v1 import schedule_pb2
from convergence.orchestrator.v1 import schedule_service_pb2 as pb
from convergence.orchestrator.v1 import schedule_service_pb2_grpc as pb_grpc
from google.protobuf.json_format import ParseDict

from libs.common import errors
from tests.support.fake_edge import refuse

Context = grpc.aio.ServicerContext[Any, Any]
RUN = "tenants/acme_corp/pipelines/p_daily/runs/s1"
DAILY = {
    "name": "tenants/acme_corp/pipelines/p_daily/schedule",
    "cron": "0 6 * * *",
    "time_zone": "Europe/Berlin",
    "overlap": "OVERLAP_POLICY_BUFFER_ONE",
    "jitter": "90s",
    "catch_up": "604800s",
    "after": ["tenants/acme_corp/pipelines/p_up"],
    "after_timeout": "43200s",
    "next_fires": [
        {
            "fire_time": "2026-11-26T05:00:00Z",
            "due_time": "2026-11-26T05:01:30Z",
            "window": {"start_time": "2026-11-19T00:00:00Z", "end_time": "2026-11-26T00:00:00Z"},
        }
    ],
    "waiting_fires": [{"fire_time": "2026-11-25T05:00:00Z", "cause": "FIRE_CAUSE_OVERLAP"}],
    "last_fires": [
        {
            "fire_time": "2026-11-24T05:00:00Z",
            "fire_count": 1,
            "outcome": "FIRE_OUTCOME_STARTED",
            "run": RUN,
            "run_state": "RUN_STATE_SUCCEEDED",
            "decide_time": "2026-11-24T05:01:31Z",
        },
        {
            "fire_time": "2026-11-21T05:00:00Z",
            "last_fire_time": "2026-11-23T05:00:00Z",
            "fire_count": 3,
            "outcome": "FIRE_OUTCOME_SKIPPED",
            "cause": "FIRE_CAUSE_SAME_WINDOW",
            "decide_time": "2026-11-24T05:01:31Z",
        },
        {
            "fire_time": "2026-11-20T05:00:00Z",
            "fire_count": 1,
            "outcome": "FIRE_OUTCOME_REFUSED",
            "cause": "FIRE_CAUSE_REFUSED",
            "message": "too large",
            "decide_time": "2026-11-24T05:01:31Z",
        },
    ],
}


class FakeSchedules(pb_grpc.ScheduleServiceServicer):
    """One schedule, that can be paused; all others are not there."""

    def __init__(self) -> None:
        self.schedule: schedule_pb2.Schedule = ParseDict(DAILY, schedule_pb2.Schedule())
        self.requests: list[Any] = []

    async def GetSchedule(self, request: pb.GetScheduleRequest, context: Context) -> Any:
        return pb.GetScheduleResponse(schedule=await self._found(request, context))

    async def ListSchedules(self, request: pb.ListSchedulesRequest, context: Context) -> Any:
        self.requests.append(request)
        return pb.ListSchedulesResponse(schedules=[self.schedule])

    async def PauseSchedule(self, request: pb.PauseScheduleRequest, context: Context) -> Any:
        found = await self._found(request, context)
        found.pause.by, found.pause.reason = "k_1", request.reason
        found.pause.pause_time.FromJsonString("2026-11-25T08:00:00Z")
        return pb.PauseScheduleResponse(schedule=found)

    async def ResumeSchedule(self, request: pb.ResumeScheduleRequest, context: Context) -> Any:
        found = await self._found(request, context)
        found.ClearField("pause")
        return pb.ResumeScheduleResponse(schedule=found)

    async def _found(self, request: Any, context: Context) -> schedule_pb2.Schedule:
        self.requests.append(request)
        if request.name != self.schedule.name:
            text = f"no schedule {request.name}"
            await refuse(context, errors.NotFound(text, reason="SCHEDULE_NOT_FOUND"))
        return self.schedule

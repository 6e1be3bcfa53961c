"""Schedules of pipelines: what they will do, what they did, and whether they are paused."""

from collections.abc import Iterable, Sequence

from convergence.orchestrator.v1 import schedule_service_pb2 as pb
from convergence.orchestrator.v1.schedule_pb2 import Schedule
from convergence.orchestrator.v1.schedule_service_pb2_grpc import ScheduleServiceStub

from libs.client.connection import Connection, pages


class AsyncSchedules:
    """Shows and pauses schedules; pipelines' files make them. Needs `runs:read`, and `runs:write` to pause."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = ScheduleServiceStub(connection.channel)

    async def get(self, name: str) -> Schedule:
        """Return `tenants/{tenant}/pipelines/{pipeline}/schedule`."""
        request = pb.GetScheduleRequest(name=name)
        return (await self._connection.call(self._stub.GetSchedule, request)).schedule

    async def list(self, parent: str, *, limit: int | None = None) -> Sequence[Schedule]:
        """Return the schedules of `tenants/{tenant}` by pipeline."""

        async def fetch(token: str, size: int) -> tuple[Iterable[Schedule], str]:
            request = pb.ListSchedulesRequest(parent=parent, page_size=size, page_token=token)
            page = await self._connection.call(self._stub.ListSchedules, request)
            return page.schedules, page.next_page_token

        return await pages(fetch, limit)

    async def pause(self, name: str, *, reason: str) -> Schedule:
        """Let nothing fire until it is resumed; one that is paused keeps its first reason."""
        request = pb.PauseScheduleRequest(name=name, reason=reason)
        return (await self._connection.call(self._stub.PauseSchedule, request)).schedule

    async def resume(self, name: str) -> Schedule:
        """Let it fire again, making up what was missed within its catch-up window."""
        request = pb.ResumeScheduleRequest(name=name)
        return (await self._connection.call(self._stub.ResumeSchedule, request)).schedule

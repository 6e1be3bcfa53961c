"""A BackfillService in this process, for tests of the client."""

from typing import Any

import grpc
from convergence.orchestrator.v1 import backfill_service_pb2 as pb
from convergence.orchestrator.v1 import backfill_service_pb2_grpc as backfills_grpc
from convergence.orchestrator.v1.backfill_pb2 import Backfill, BackfillProgress

from libs.common import errors
from tests.support.fake_edge import Context, refuse


class FakeBackfills(backfills_grpc.BackfillServiceServicer):
    """One backfill, which GetBackfill shows as `seen` say, the last for ever.

    A dial: `failures` are raised by the next calls, one each.
    """

    def __init__(self, *seen: Backfill) -> None:
        self.seen = list(seen) or [backfill()]
        self.failures: list[errors.ServiceError] = []
        self.requests: list[Any] = []
        self.known: dict[str, Backfill] = {}

    def add_to(self, server: grpc.aio.Server) -> None:
        backfills_grpc.add_BackfillServiceServicer_to_server(self, server)

    async def _asked(self, request: Any, context: Context) -> None:
        self.requests.append(request)
        if self.failures:
            await refuse(context, self.failures.pop(0))

    async def CreateBackfill(self, request: pb.CreateBackfillRequest, context: Context) -> Any:
        made = self.known.setdefault(request.request_id, backfill("RUNNING"))
        await self._asked(request, context)
        return pb.CreateBackfillResponse(backfill=made)

    async def GetBackfill(self, request: pb.GetBackfillRequest, context: Context) -> Any:
        await self._asked(request, context)
        found = self.seen.pop(0) if len(self.seen) > 1 else self.seen[0]
        return pb.GetBackfillResponse(backfill=found)

    async def ListBackfills(self, request: pb.ListBackfillsRequest, context: Context) -> Any:
        await self._asked(request, context)
        return pb.ListBackfillsResponse(backfills=self.seen)

    async def PauseBackfill(self, request: pb.PauseBackfillRequest, context: Context) -> Any:
        await self._asked(request, context)
        return pb.PauseBackfillResponse(backfill=backfill("PAUSED"))

    async def ResumeBackfill(self, request: pb.ResumeBackfillRequest, context: Context) -> Any:
        await self._asked(request, context)
        return pb.ResumeBackfillResponse(backfill=backfill("RUNNING"))

    async def CancelBackfill(self, request: pb.CancelBackfillRequest, context: Context) -> Any:
        await self._asked(request, context)
        return pb.CancelBackfillResponse(backfill=backfill("CANCELLING"))


def backfill(state: str = "FINISHED", **counts: int) -> Backfill:
    """A backfill of ten windows; those that `counts` leaves out have succeeded."""
    progress = BackfillProgress(window_count=10, succeeded_count=10 - sum(counts.values()))
    for name, count in counts.items():
        setattr(progress, name, count)
    return Backfill(
        name="tenants/acme_corp/pipelines/p_openai_daily/backfills/b1",
        state=f"BACKFILL_STATE_{state}",
        start_date="2026-11-01",
        end_date="2026-11-11",
        max_parallel=4,
        created_by="key1",
        progress=progress,
    )

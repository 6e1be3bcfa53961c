"""Backfills: runs over a range of past windows, started, steered and waited for."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Final
from uuid import uuid4

from convergence.orchestrator.v1 import backfill_service_pb2 as pb
from convergence.orchestrator.v1.backfill_pb2 import Backfill, BackfillOrder, BackfillState
from convergence.orchestrator.v1.backfill_service_pb2_grpc import BackfillServiceStub

from libs.client.connection import Connection, pages
from libs.client.runs import PATIENCE_SECONDS
from libs.common import errors

ENDED: Final = frozenset(
    {BackfillState.BACKFILL_STATE_FINISHED, BackfillState.BACKFILL_STATE_CANCELLED}
)

POLL_SECONDS: Final = 2.0


class AsyncBackfills:
    """Starts and steers backfills. Reading needs scope `runs:read`, the rest `runs:write`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = BackfillServiceStub(connection.channel)

    async def start(  # noqa: PLR0913 the fields of the request
        self,
        parent: str,
        *,
        start: date,
        end: date,
        max_parallel: int = 0,
        oldest_first: bool = False,
        max_failures: int = 0,
        reload: bool = False,
        reason: str = "",
        request_id: str | None = None,
    ) -> Backfill:
        """Start a backfill of `tenants/{tenant}/pipelines/{pipeline}` and return at once.

        Args:
            parent: The pipeline.
            start: First day of the range, in the zone of the pipeline's window.
            end: First day after the range.
            max_parallel: Most live runs of it at once; 0 leaves it to the service.
            oldest_first: Whether the first window comes first.
            max_failures: So many failed runs pause it; 0 leaves it to the service.
            reload: Read inputs again that were published before, and replace their rows.
            reason: Why, for the history.
            request_id: A UUID; repeating it returns the same backfill. None makes one, with which
                the call is safely repeated while the connection fails.
        """
        order = BackfillOrder.BACKFILL_ORDER_NEWEST_FIRST
        if oldest_first:
            order = BackfillOrder.BACKFILL_ORDER_OLDEST_FIRST
        request = pb.CreateBackfillRequest(
            parent=parent,
            request_id=request_id or str(uuid4()),
            start_date=start.isoformat(),
            end_date=end.isoformat(),
            max_parallel=max_parallel,
            order=order,
            max_failures=max_failures,
            reload=reload,
            reason=reason,
        )
        return (await self._connection.call(self._stub.CreateBackfill, request)).backfill

    async def get(self, name: str) -> Backfill:
        """Return `tenants/{tenant}/pipelines/{pipeline}/backfills/{backfill}`."""
        request = pb.GetBackfillRequest(name=name)
        return (await self._connection.call(self._stub.GetBackfill, request)).backfill

    async def list(self, parent: str, *, limit: int | None = 50) -> Sequence[Backfill]:
        """Return backfills of a tenant or pipeline, newest first; `limit=None` returns all."""

        async def fetch(token: str, size: int) -> tuple[Iterable[Backfill], str]:
            request = pb.ListBackfillsRequest(parent=parent, page_size=size, page_token=token)
            page = await self._connection.call(self._stub.ListBackfills, request)
            return page.backfills, page.next_page_token

        return await pages(fetch, limit)

    async def wait(
        self,
        name: str,
        *,
        on_change: Callable[[Backfill], None] | None = None,
        poll_seconds: float = POLL_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> Backfill:
        """Return the backfill once nothing of it moves by itself: it ended, or is paused without a live run.

        It is asked for every `poll_seconds`, and `on_change` sees each answer that differs from the one before.
        After `patience` seconds without any answer Unavailable is raised.
        """
        last, heard = Backfill(), time.monotonic()
        while True:
            try:
                found = await self.get(name)
            except errors.Unavailable:
                if time.monotonic() - heard > patience:
                    raise
                await asyncio.sleep(poll_seconds)
                continue
            heard = time.monotonic()
            if on_change is not None and found != last:
                on_change(found)
            paused = found.state == BackfillState.BACKFILL_STATE_PAUSED
            if found.state in ENDED or (paused and not found.progress.running_count):
                return found
            last = found
            await asyncio.sleep(poll_seconds)

    async def pause(self, name: str, *, reason: str = "") -> Backfill:
        """Start no further windows; live runs go on."""
        request = pb.PauseBackfillRequest(name=name, reason=reason)
        return (await self._connection.call(self._stub.PauseBackfill, request)).backfill

    async def resume(self, name: str) -> Backfill:
        """Go on with a paused backfill."""
        request = pb.ResumeBackfillRequest(name=name)
        return (await self._connection.call(self._stub.ResumeBackfill, request)).backfill

    async def cancel(self, name: str, *, reason: str = "") -> Backfill:
        """Start no further windows and cancel the live runs."""
        request = pb.CancelBackfillRequest(name=name, reason=reason)
        return (await self._connection.call(self._stub.CancelBackfill, request)).backfill

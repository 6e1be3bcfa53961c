"""Runs: started, watched to their end, and steered."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, TypeVar
from uuid import uuid4

import grpc.aio
from convergence.orchestrator.v1 import run_service_pb2 as pb
from convergence.orchestrator.v1.explanation_pb2 import Explanation
from convergence.orchestrator.v1.run_pb2 import (
    QuarantinedRow,
    Run,
    RunEvent,
    RunResult,
    RunState,
)
from convergence.orchestrator.v1.run_service_pb2_grpc import RunServiceStub

from libs.client.connection import Connection, pages
from libs.common import errors

Request = TypeVar("Request", pb.WatchRunRequest, pb.WatchRunsRequest)
Answer = TypeVar("Answer", pb.WatchRunResponse, pb.WatchRunsResponse)

SETTLED: Final = frozenset(
    {
        RunState.RUN_STATE_HELD,
        RunState.RUN_STATE_SUCCEEDED,
        RunState.RUN_STATE_FAILED,
        RunState.RUN_STATE_TRANSFORM_FAILED,
        RunState.RUN_STATE_CANCELLED,
        RunState.RUN_STATE_SUPERSEDED,
    }
)
"""States in which nothing moves by itself (but for a hold that ends)."""

PATIENCE_SECONDS: Final = 60.0
FIRST_PAUSE_SECONDS: Final = 0.1
LONGEST_PAUSE_SECONDS: Final = 3.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A run as it was, and where to go on watching after that."""

    run: Run
    cursor: str


class AsyncRuns:
    """Starts, watches and steers runs. Reading needs scope `runs:read`, the rest `runs:write`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = RunServiceStub(connection.channel)

    async def start(
        self,
        parent: str,
        *,
        window_time: datetime | None = None,
        reload: bool = False,
        request_id: str | None = None,
    ) -> Run:
        """Start a run of `tenants/{tenant}/pipelines/{pipeline}` and return at once.

        Args:
            parent: The pipeline.
            window_time: An aware moment in the day that the run is for; None means today
                minus the pipeline's lag.
            reload: Read inputs again that were published before, and replace their rows.
            request_id: A UUID; repeating it returns the same run. None makes one, with which the
                call is safely repeated while the connection fails.
        """
        request = pb.CreateRunRequest(
            parent=parent,
            request_id=request_id or str(uuid4()),
            window_time=window_time,
            reload=reload,
        )
        return (await self._connection.call(self._stub.CreateRun, request)).run

    async def get(self, name: str) -> Run:
        """Return `tenants/{tenant}/pipelines/{pipeline}/runs/{run}`."""
        return (await self._connection.call(self._stub.GetRun, pb.GetRunRequest(name=name))).run

    async def list(
        self, parent: str, *, states: Sequence[RunState] = (), limit: int | None = 50
    ) -> Sequence[Run]:
        """Return runs of a tenant or pipeline, newest first; `limit=None` returns all."""

        async def fetch(token: str, size: int) -> tuple[Iterable[Run], str]:
            request = pb.ListRunsRequest(
                parent=parent, page_size=size, page_token=token, states=states
            )
            page = await self._connection.call(self._stub.ListRuns, request)
            return page.runs, page.next_page_token

        return await pages(fetch, limit)

    async def watch(
        self, name: str, *, cursor: str = "", patience: float = PATIENCE_SECONDS
    ) -> AsyncGenerator[Watched]:
        """Yield the run now and after every change, until nothing moves by itself any more.

        A stream that breaks or ends early is taken up again at its cursor; after `patience`
        seconds without any answer Unavailable is raised.
        """

        def asked(at: str) -> pb.WatchRunRequest:
            return pb.WatchRunRequest(name=name, cursor=at)

        changes = self._resumed(self._stub.WatchRun, asked, cursor, patience)
        async with contextlib.aclosing(changes):
            async for seen in changes:
                yield seen
                if seen.run.state in SETTLED:
                    return

    async def watch_all(
        self, parent: str, *, cursor: str = "", patience: float = PATIENCE_SECONDS
    ) -> AsyncGenerator[Watched]:
        """Yield every change of runs of a tenant or pipeline, for ever, from `cursor` or from now on.

        A stream that breaks is taken up again as in `watch`, so that no change is missed.
        """

        def asked(at: str) -> pb.WatchRunsRequest:
            return pb.WatchRunsRequest(parent=parent, cursor=at)

        changes = self._resumed(self._stub.WatchRuns, asked, cursor, patience)
        async with contextlib.aclosing(changes):
            async for seen in changes:
                if seen.run.name:
                    yield seen

    async def _resumed(
        self,
        rpc: grpc.aio.UnaryStreamMultiCallable[Request, Answer],
        asked: Callable[[str], Request],
        cursor: str,
        patience: float,
    ) -> AsyncGenerator[Watched]:
        pause, heard = FIRST_PAUSE_SECONDS, time.monotonic()
        while True:
            try:
                answers = self._connection.stream(rpc, asked(cursor))
                async with contextlib.aclosing(answers):
                    async for answer in answers:
                        cursor = answer.cursor
                        pause, heard = FIRST_PAUSE_SECONDS, time.monotonic()
                        yield Watched(run=answer.run, cursor=cursor)
            except errors.Unavailable:
                if time.monotonic() - heard > patience:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def wait(self, name: str, *, on_change: Callable[[Run], None] | None = None) -> Run:
        """Return the run once nothing moves by itself; `on_change` sees every state before."""
        run = Run()
        async for seen in self.watch(name):
            run = seen.run
            if on_change is not None:
                on_change(run)
        return run

    async def start_and_wait(
        self,
        parent: str,
        *,
        window_time: datetime | None = None,
        reload: bool = False,
        request_id: str | None = None,
        on_change: Callable[[Run], None] | None = None,
    ) -> Run:
        """Start a run and return it once nothing moves by itself any more (see `SETTLED`)."""
        run = await self.start(
            parent, window_time=window_time, reload=reload, request_id=request_id
        )
        return await self.wait(run.name, on_change=on_change)

    async def queue(self, parent: str) -> pb.GetQueueResponse:
        """Return how the slots of workers are shared at this moment.

        Args:
            parent: A tenant; `tenants/-`, with a key of the platform, for all and the workers.
        """
        return await self._connection.call(self._stub.GetQueue, pb.GetQueueRequest(parent=parent))

    async def cancel(self, name: str, *, reason: str = "") -> Run:
        """Stop a run that is not publishing yet."""
        request = pb.CancelRunRequest(name=name, reason=reason)
        return (await self._connection.call(self._stub.CancelRun, request)).run

    async def retry(self, name: str, *, failed_attempt: int = 0) -> Run:
        """Go on with a failed run from where it stopped.

        Args:
            name: The run.
            failed_attempt: The attempt that the caller saw fail, so that a repeat changes nothing.
        """
        request = pb.RetryRunRequest(name=name, failed_attempt=failed_attempt)
        return (await self._connection.call(self._stub.RetryRun, request)).run

    async def approve(self, name: str, *, reason: str = "") -> Run:
        """Publish a held run."""
        request = pb.ApproveRunRequest(name=name, reason=reason)
        return (await self._connection.call(self._stub.ApproveRun, request)).run

    async def discard(self, name: str, *, reason: str = "") -> Run:
        """Throw a held run away."""
        request = pb.DiscardRunRequest(name=name, reason=reason)
        return (await self._connection.call(self._stub.DiscardRun, request)).run

    async def explain(self, name: str) -> Explanation:
        """Return in sentences what became of a run, or what it waits for, and what to do."""
        request = pb.ExplainRunRequest(name=name)
        return (await self._connection.call(self._stub.ExplainRun, request)).explanation

    async def events(self, parent: str, *, limit: int | None = None) -> Sequence[RunEvent]:
        """Return the history of the run `parent`, oldest first."""

        async def fetch(token: str, size: int) -> tuple[Iterable[RunEvent], str]:
            request = pb.ListRunEventsRequest(parent=parent, page_size=size, page_token=token)
            page = await self._connection.call(self._stub.ListRunEvents, request)
            return page.events, page.next_page_token

        return await pages(fetch, limit)

    async def results(self, parent: str, *, limit: int | None = None) -> Sequence[RunResult]:
        """Return what each expectation said about the run `parent`, in the suite's order."""

        async def fetch(token: str, size: int) -> tuple[Iterable[RunResult], str]:
            request = pb.ListRunResultsRequest(parent=parent, page_size=size, page_token=token)
            page = await self._connection.call(self._stub.ListRunResults, request)
            return page.results, page.next_page_token

        return await pages(fetch, limit)

    async def quarantine(self, parent: str, *, limit: int | None = 50) -> Sequence[QuarantinedRow]:
        """Return rows of the run `parent` that were not published; `limit=None` returns all."""

        async def fetch(token: str, size: int) -> tuple[Iterable[QuarantinedRow], str]:
            request = pb.ListQuarantinedRowsRequest(parent=parent, page_size=size, page_token=token)
            page = await self._connection.call(self._stub.ListQuarantinedRows, request)
            return page.rows, page.next_page_token

        return await pages(fetch, limit)

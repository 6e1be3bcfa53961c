"""RunService: messages to commands and back."""

from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Final
from uuid import UUID

from convergence.orchestrator.v1 import run_pb2, run_service_pb2, run_service_pb2_grpc
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from libs.common.identity import caller
from libs.common.names import PLATFORM, PipelineName, RunName, TenantName
from libs.common.paging import Page
from libs.common.parse import Reading, moment
from libs.common.rpc import Context
from services.orchestrator.active import Active, Seat
from services.orchestrator.api.explanation_messages import explanation_message
from services.orchestrator.api.quarantine_messages import quarantined_message
from services.orchestrator.api.queue_messages import queue_message, queues_message
from services.orchestrator.api.run_messages import (
    NO_LIVE,
    KeptMessages,
    event_message,
    result_message,
    run_message,
)
from services.orchestrator.api.wait_messages import wait_message
from services.orchestrator.conductor.awaiting import missing_of
from services.orchestrator.conductor.commands import Start
from services.orchestrator.conductor.presence import present_of
from services.orchestrator.configs.catalogue import Catalogue
from services.orchestrator.explanations.explanation import explain
from services.orchestrator.pipelines import pipeline_entry, pipeline_spec
from services.orchestrator.runs.records import Share
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.runs.telling import Told, told

EVERY_TENANT: Final = f"tenants/{PLATFORM}"
"""A parent that only platform keys may name."""

END_SECONDS: Final = 0.5
"""How long before the caller's deadline the server ends a stream."""


class RunServicer(run_service_pb2_grpc.RunServiceServicer):
    """Translates; decides nothing. Every call needs the seat of the active orchestrator."""

    def __init__(self, seat: Seat, catalogue: Catalogue) -> None:
        self._seat = seat
        self._catalogue = catalogue
        self._kept = KeptMessages()

    async def CreateRun(
        self, request: run_service_pb2.CreateRunRequest, context: Context
    ) -> run_service_pb2.CreateRunResponse:
        active = await self._seat.soon()
        with Reading() as read:
            pipeline = read("parent", PipelineName.parse, request.parent)
            request_id = read("request_id", UUID, request.request_id)
            given = request.HasField("window_time")
            when = read("window_time", moment, request.window_time) if given else None
        start = Start(
            pipeline=pipeline,
            request_id=request_id,
            moment=when,
            reload=request.reload,
            created_by=caller().key_id,
            traceparent=traceparent(),
            share=share_of(pipeline.tenant),
        )
        run = await active.commands.repeated(start)
        if run is None:
            spec = pipeline_spec(self._catalogue, pipeline)
            run = await active.commands.create(start, spec)
        return run_service_pb2.CreateRunResponse(run=self._message(active, run))

    async def GetRun(
        self, request: run_service_pb2.GetRunRequest, context: Context
    ) -> run_service_pb2.GetRunResponse:
        active = self._seat.active()
        run = await active.commands.settled(await active.commands.look(_name("name", request.name)))
        return run_service_pb2.GetRunResponse(run=self._message(active, run))

    async def ListRuns(
        self, request: run_service_pb2.ListRunsRequest, context: Context
    ) -> run_service_pb2.ListRunsResponse:
        active = self._seat.active()
        parent = self._parent(request.parent)
        with Reading() as read:
            states = read("states", _states, request.states)
        query = f"runs:{request.parent}:{','.join(sorted(states))}"
        page = Page(asked=request.page_size, token=request.page_token, query=query)
        reader = active.commands.reader
        found = await reader.begun(
            parent, states=frozenset(states), below=page.offset, limit=page.limit + 1
        )
        some, token = page.below(found, lambda one: one.position)
        runs = await reader.runs([one.name for one in some])
        if runs:
            await active.commands.settled(max(runs.values(), key=lambda run: run.position))
        return run_service_pb2.ListRunsResponse(
            runs=[self._message(active, runs[one.name]) for one in some], next_page_token=token
        )

    def _parent(self, text: str) -> TenantName | PipelineName:
        """Read a tenant or pipeline; a pipeline that is not there is refused."""
        with Reading() as read:
            parent = read("parent", tenant_or_pipeline, text)
        if isinstance(parent, PipelineName):
            pipeline_entry(self._catalogue, parent)
        return parent

    async def WatchRun(
        self, request: run_service_pb2.WatchRunRequest, context: Context
    ) -> AsyncGenerator[run_service_pb2.WatchRunResponse]:
        active = self._seat.active()
        run = await active.commands.look(_name("name", request.name))
        name = run.name
        if name not in active.ledger.runs:
            yield run_service_pb2.WatchRunResponse(
                run=self._message(active, run), cursor=str(run.position)
            )
            return
        async for run, cursor in active.watches.run(name, request.cursor, lasting(context)):
            yield run_service_pb2.WatchRunResponse(run=self._message(active, run), cursor=cursor)

    async def WatchRuns(
        self, request: run_service_pb2.WatchRunsRequest, context: Context
    ) -> AsyncGenerator[run_service_pb2.WatchRunsResponse]:
        active = self._seat.active()
        parent = self._parent(request.parent)
        watch = active.watches.runs(
            parent.tenant, _belongs_to(parent), request.cursor, lasting(context)
        )
        async for run, cursor in watch:
            message = self._message(active, run) if run else None
            yield run_service_pb2.WatchRunsResponse(run=message, cursor=cursor)

    async def GetQueue(
        self, request: run_service_pb2.GetQueueRequest, context: Context
    ) -> run_service_pb2.GetQueueResponse:
        active = self._seat.active()
        with Reading() as read:
            parent = read("parent", _tenant_or_all, request.parent)
        conductor = active.conductor
        return queue_message(conductor, parent.tenant) if parent else queues_message(conductor)

    async def CancelRun(
        self, request: run_service_pb2.CancelRunRequest, context: Context
    ) -> run_service_pb2.CancelRunResponse:
        active = self._seat.active()
        name = _name("name", request.name)
        run = await active.commands.cancel(name, by=caller().key_id, reason=request.reason)
        return run_service_pb2.CancelRunResponse(run=self._message(active, run))

    async def RetryRun(
        self, request: run_service_pb2.RetryRunRequest, context: Context
    ) -> run_service_pb2.RetryRunResponse:
        active = self._seat.active()
        run = await active.commands.look(_name("name", request.name))
        after = await active.commands.retry(
            run.name,
            failed_attempt=request.failed_attempt,
            by=caller().key_id,
            spec=self._with_transforms_of_now(run),
            share=share_of(run.name.tenant),
        )
        return run_service_pb2.RetryRunResponse(run=self._message(active, after))

    def _with_transforms_of_now(self, run: Run) -> str:
        if run.state is not RunState.TRANSFORM_FAILED:
            return ""
        now = pipeline_spec(self._catalogue, run.name.parent)
        return run.spec.model_copy(update={"transforms": now.transforms}).canonical()

    async def ApproveRun(
        self, request: run_service_pb2.ApproveRunRequest, context: Context
    ) -> run_service_pb2.ApproveRunResponse:
        active = self._seat.active()
        by = caller().key_id or "unknown"
        name = _name("name", request.name)
        run = await active.commands.approve(name, by=by, reason=request.reason)
        return run_service_pb2.ApproveRunResponse(run=self._message(active, run))

    async def DiscardRun(
        self, request: run_service_pb2.DiscardRunRequest, context: Context
    ) -> run_service_pb2.DiscardRunResponse:
        active = self._seat.active()
        name = _name("name", request.name)
        run = await active.commands.discard(name, by=caller().key_id, reason=request.reason)
        return run_service_pb2.DiscardRunResponse(run=self._message(active, run))

    async def ExplainRun(
        self, request: run_service_pb2.ExplainRunRequest, context: Context
    ) -> run_service_pb2.ExplainRunResponse:
        active = self._seat.active()
        run = await active.commands.settled(await active.commands.look(_name("name", request.name)))
        explanation = explain(run, await _told(active, run), present_of(active.conductor, run))
        return run_service_pb2.ExplainRunResponse(explanation=explanation_message(explanation))

    async def ListRunEvents(
        self, request: run_service_pb2.ListRunEventsRequest, context: Context
    ) -> run_service_pb2.ListRunEventsResponse:
        active = self._seat.active()
        run = await active.commands.settled(
            await active.commands.look(_name("parent", request.parent))
        )
        events = [event_message(one) for one in await _told(active, run)]
        some, token = _page("events", request).of(events)
        return run_service_pb2.ListRunEventsResponse(events=some, next_page_token=token)

    async def ListRunResults(
        self, request: run_service_pb2.ListRunResultsRequest, context: Context
    ) -> run_service_pb2.ListRunResultsResponse:
        active = self._seat.active()
        run = await active.commands.settled(
            await active.commands.look(_name("parent", request.parent))
        )
        results = run.audited.results if run.audited else ()
        messages = [result_message(result, run.audit_attempt) for result in results]
        some, token = _page("results", request).of(messages)
        return run_service_pb2.ListRunResultsResponse(results=some, next_page_token=token)

    async def ListQuarantinedRows(
        self, request: run_service_pb2.ListQuarantinedRowsRequest, context: Context
    ) -> run_service_pb2.ListQuarantinedRowsResponse:
        active = self._seat.active()
        run = await active.commands.settled(
            await active.commands.look(_name("parent", request.parent))
        )
        page = _page("quarantine", request)
        rows = await active.mesh.warehouse.quarantined(
            run, offset=page.offset, limit=page.limit + 1
        )
        some, token = page.window(rows)
        return run_service_pb2.ListQuarantinedRowsResponse(
            rows=[quarantined_message(row) for row in some], next_page_token=token
        )

    def _message(self, active: Active, run: Run) -> run_pb2.Run:
        live = active.conductor.live.get(run.name, NO_LIVE)
        missing = missing_of(active.ledger, run) if run.state is RunState.PENDING else ()
        wait = active.conductor.admission.wait_of(run)
        if live is NO_LIVE and not missing and wait is None:
            return self._kept.of(run)
        message = run_message(run, live, missing)
        if wait is not None:
            share = active.ledger.share(run.name.tenant)
            message.wait.CopyFrom(wait_message(wait, share))
        return message


async def _told(active: Active, run: Run) -> list[Told]:
    """Return the records that made a run what it is."""
    history = await active.commands.reader.records(run.name)
    return list(told(record for record in history if record.position <= run.position))


def lasting(context: Context) -> float | None:
    """Return how long a stream may last so that the server ends it within the caller's deadline."""
    left = context.time_remaining()
    return None if left is None else max(left - END_SECONDS, 0.0)


def share_of(tenant: str) -> Share | None:
    """Return what a tenant may have; None if the caller's key is not its own."""
    who = caller()
    return Share.of(who) if who.tenant == tenant else None


def traceparent() -> str:
    """Return the W3C trace context of the present call; empty without tracing."""
    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def _name(field: str, text: str) -> RunName:
    with Reading() as read:
        return read(field, RunName.parse, text)


def _states(values: Iterable[int]) -> set[str]:
    known = set(run_pb2.RunState.values()) - {run_pb2.RUN_STATE_UNSPECIFIED}
    if wrong := sorted(set(values) - known):
        raise ValueError(f"found {wrong[0]}; allowed are the states of RunState but UNSPECIFIED")
    return {run_pb2.RunState.Name(value).removeprefix("RUN_STATE_") for value in values}


def _belongs_to(parent: TenantName | PipelineName) -> Callable[[RunName], bool]:
    return lambda name: parent in (name.parent, TenantName(name.tenant))


def tenant_or_pipeline(text: str) -> TenantName | PipelineName:
    """Return the parent of a list. Raises ValueError."""
    return PipelineName.parse(text) if "/pipelines" in text else TenantName.parse(text)


def _tenant_or_all(text: str) -> TenantName | None:
    return None if text == EVERY_TENANT else TenantName.parse(text)


def _page(
    what: str,
    request: run_service_pb2.ListRunEventsRequest
    | run_service_pb2.ListRunResultsRequest
    | run_service_pb2.ListQuarantinedRowsRequest,
) -> Page:
    query = f"{what}:{request.parent}"
    return Page(asked=request.page_size, token=request.page_token, query=query)

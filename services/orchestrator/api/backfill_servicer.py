"""BackfillService: messages to commands and back."""

from datetime import date
from uuid import UUID

from convergence.orchestrator.v1 import backfill_pb2 as pb
from convergence.orchestrator.v1 import backfill_service_pb2 as service_pb
from convergence.orchestrator.v1 import backfill_service_pb2_grpc as service_grpc

from libs.common.identity import caller
from libs.common.names import BackfillName, PipelineName, TenantName
from libs.common.paging import Page
from libs.common.parse import Reading
from libs.common.rpc import Context
from services.orchestrator.active import Active, Seat
from services.orchestrator.api.backfill_messages import backfill_message, whole_message
from services.orchestrator.api.run_servicer import share_of, tenant_or_pipeline, traceparent
from services.orchestrator.backfills import commands
from services.orchestrator.backfills.backfill import Backfill
from services.orchestrator.backfills.commands import Ask
from services.orchestrator.backfills.progress import Tally
from services.orchestrator.backfills.ranges import Range
from services.orchestrator.configs.catalogue import Catalogue
from services.orchestrator.pipelines import pipeline_entry, pipeline_spec
from services.orchestrator.runs.run import Run


class BackfillServicer(service_grpc.BackfillServiceServicer):
    """Translates; decides nothing. Every call needs the seat of the active orchestrator."""

    def __init__(self, seat: Seat, catalogue: Catalogue) -> None:
        self._seat = seat
        self._catalogue = catalogue
        self._tally = Tally()

    async def CreateBackfill(
        self, request: service_pb.CreateBackfillRequest, context: Context
    ) -> service_pb.CreateBackfillResponse:
        active = await self._seat.soon()
        ask = _ask(request)
        backfill = await active.backfills.repeated(ask)
        if backfill is None:
            spec = pipeline_spec(self._catalogue, ask.pipeline)
            backfill = await active.backfills.create(ask, spec)
        return service_pb.CreateBackfillResponse(backfill=await _message(active, backfill))

    async def GetBackfill(
        self, request: service_pb.GetBackfillRequest, context: Context
    ) -> service_pb.GetBackfillResponse:
        active = self._seat.active()
        backfill = active.backfills.find(_name(request.name))
        (runs,) = await _seen(active, backfill)
        sums = await self._tally.sums(tuple(runs.values()))
        whole = whole_message(backfill, runs, sums, now=active.mesh.clock())
        return service_pb.GetBackfillResponse(backfill=whole)

    async def ListBackfills(
        self, request: service_pb.ListBackfillsRequest, context: Context
    ) -> service_pb.ListBackfillsResponse:
        active = self._seat.active()
        with Reading() as read:
            parent = read("parent", tenant_or_pipeline, request.parent)
        if isinstance(parent, PipelineName):
            pipeline_entry(self._catalogue, parent)
        query = f"backfills:{request.parent}"
        page = Page(asked=request.page_size, token=request.page_token, query=query)
        found = [
            backfill
            for backfill in active.ledger.backfills.by_name.values()
            if parent in (backfill.name.parent, TenantName(backfill.name.tenant))
        ]
        found.sort(key=_begun, reverse=True)
        some, token = page.below(found, _begun)
        now = active.mesh.clock()
        messages = [
            backfill_message(backfill, runs, now=now)
            for backfill, runs in zip(some, await _seen(active, *some), strict=True)
        ]
        return service_pb.ListBackfillsResponse(backfills=messages, next_page_token=token)

    async def PauseBackfill(
        self, request: service_pb.PauseBackfillRequest, context: Context
    ) -> service_pb.PauseBackfillResponse:
        active = self._seat.active()
        name, reason = _steering(request)
        after = await active.backfills.pause(name, by=caller().key_id, reason=reason)
        return service_pb.PauseBackfillResponse(backfill=await _message(active, after))

    async def ResumeBackfill(
        self, request: service_pb.ResumeBackfillRequest, context: Context
    ) -> service_pb.ResumeBackfillResponse:
        active = self._seat.active()
        after = await active.backfills.resume(_name(request.name), by=caller().key_id)
        return service_pb.ResumeBackfillResponse(backfill=await _message(active, after))

    async def CancelBackfill(
        self, request: service_pb.CancelBackfillRequest, context: Context
    ) -> service_pb.CancelBackfillResponse:
        active = self._seat.active()
        name, reason = _steering(request)
        after = await active.backfills.cancel(name, by=caller().key_id, reason=reason)
        return service_pb.CancelBackfillResponse(backfill=await _message(active, after))


def _ask(request: service_pb.CreateBackfillRequest) -> Ask:
    with Reading() as read:
        pipeline = read("parent", PipelineName.parse, request.parent)
        request_id = read("request_id", UUID, request.request_id)
        start = read("start_date", _date, request.start_date)
        end = read("end_date", _date, request.end_date)
        max_parallel = read("max_parallel", commands.parallel, request.max_parallel)
        newest_first = read("order", _newest_first, request.order)
        max_failures = read("max_failures", commands.failures, request.max_failures)
        reason = read("reason", commands.reason, request.reason)
    return Ask(
        pipeline=pipeline,
        request_id=request_id,
        range=Range(start=start, end=end),
        max_parallel=max_parallel,
        newest_first=newest_first,
        max_failures=max_failures,
        reload=request.reload,
        reason=reason,
        created_by=caller().key_id,
        traceparent=traceparent(),
        share=share_of(pipeline.tenant),
    )


def _steering(
    request: service_pb.PauseBackfillRequest | service_pb.CancelBackfillRequest,
) -> tuple[BackfillName, str]:
    with Reading() as read:
        name = read("name", BackfillName.parse, request.name)
        reason = read("reason", commands.reason, request.reason)
    return name, reason


def _name(text: str) -> BackfillName:
    with Reading() as read:
        return read("name", BackfillName.parse, text)


def _date(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise ValueError(f"found {text!r}; allowed is a date YYYY-MM-DD")
    return found


def _newest_first(order: int) -> bool:
    if order not in pb.BackfillOrder.values():
        raise ValueError(f"found {order}; allowed are the values of BackfillOrder")
    return order != pb.BACKFILL_ORDER_OLDEST_FIRST


async def _seen(active: Active, *backfills: Backfill) -> list[dict[date, Run]]:
    """Return the runs of each by first day, when all that they and it say is durable.

    Raises Unavailable.
    """
    names = [dict(active.ledger.backfills.runs(backfill.name)) for backfill in backfills]
    runs = await active.commands.reader.runs([name for some in names for name in some.values()])
    said = [backfill.position for backfill in backfills]
    said += [run.position for run in runs.values()]
    await active.commands.durable(max(said, default=0))
    return [{day: runs[name] for day, name in some.items()} for some in names]


async def _message(active: Active, backfill: Backfill) -> pb.Backfill:
    (runs,) = await _seen(active, backfill)
    return backfill_message(backfill, runs, now=active.mesh.clock())


def _begun(backfill: Backfill) -> int:
    return backfill.begun

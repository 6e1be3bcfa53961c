"""IngestService: places work in slots and threads, and says how it goes."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Final

import structlog
from convergence.ingest.v1 import ingest_service_pb2, ingest_service_pb2_grpc
from polars.exceptions import PanicException

from libs.common.errors import InvalidRequest, Unavailable
from libs.common.identity import caller
from libs.common.memory import Memory
from libs.common.rpc import Context
from services.ingest.failures import Cancelled, SourceTooLarge, failed
from services.ingest.ingestion import Ingestion, Tally, Task
from services.ingest.memory import CHUNK_BYTES
from services.ingest.messages import chunk_message, column_message, failure_message, result_message
from services.ingest.metrics import IngestMetrics
from services.ingest.requests import splitting_of, task_of
from services.ingest.sources.opening import Sources
from services.ingest.sources.source import Source
from services.ingest.stores.addresses import Reach

log = structlog.get_logger()

BEAT_SECONDS: Final = 1.0

LARGEST_PLAN: Final = 4 * 1024 * 1024 - 64 * 1024
"""Bytes of a plan: somewhat less than a message may have."""

Response = ingest_service_pb2.IngestChunkResponse


class WorkerFull(Unavailable):
    """No slot or no memory is free."""

    reason = "WORKER_FULL"


class WorkerDraining(Unavailable):
    """The process was told to end."""

    reason = "WORKER_DRAINING"


class StaleEpoch(InvalidRequest):
    """An orchestrator that is not active any more."""


class IngestServicer(ingest_service_pb2_grpc.IngestServiceServicer):
    """Takes as many chunks at once as it has slots; each works in a thread."""

    def __init__(
        self,
        sources: Sources,
        start: Callable[[Task], Ingestion],
        metrics: IngestMetrics,
        *,
        slots: int,
        memory: Memory,
        draining: asyncio.Event,
    ) -> None:
        self._sources = sources
        self._start = start
        self._metrics = metrics
        self._slots = slots
        self._memory = memory
        self._limit_bytes = memory.limit_bytes()
        self._draining = draining
        self._busy = 0
        self._epoch = 0

    async def PlanChunks(
        self, request: ingest_service_pb2.PlanChunksRequest, context: Context
    ) -> ingest_service_pb2.PlanChunksResponse:
        self._refuse_when_draining()
        cancelled = threading.Event()
        tenant, splitting = splitting_of(request, cancelled)
        source = self._sources.open(tenant, request.source, cancelled, _reach())
        try:
            plan = await asyncio.to_thread(source.plan, splitting)
        finally:
            cancelled.set()
        response = ingest_service_pb2.PlanChunksResponse(
            chunks=[chunk_message(chunk) for chunk in plan.chunks],
            extra_columns=plan.extra_columns,
            evolved_columns=[column_message(column) for column in plan.evolved_columns],
            deliveries=plan.deliveries,
        )
        _refuse_too_large(request.source.source_id, response)
        return response

    def _refuse_when_draining(self) -> None:
        if self._draining.is_set():
            raise WorkerDraining("the worker is draining; place the work elsewhere")

    async def IngestChunk(
        self, request: ingest_service_pb2.IngestChunkRequest, context: Context
    ) -> AsyncGenerator[Response]:
        self._refuse_when_draining()
        task = task_of(request)
        cancelled = threading.Event()
        source = self._sources.open(task.tenant, request.source, cancelled, _reach())
        self._refuse_stale(request.epoch)
        self._refuse_when_full()
        self._busy += 1
        self._metrics.busy(self._busy)
        with structlog.contextvars.bound_contextvars(
            tenant_id=task.tenant, pipeline_id=task.pipeline, run_id=task.run
        ):
            try:
                yield Response(
                    accepted=ingest_service_pb2.Accepted(
                        slot_count=self._slots, busy_slot_count=self._busy
                    )
                )
                async for response in self._work(task, source, cancelled):
                    yield response
            finally:
                self._busy -= 1
                self._metrics.busy(self._busy)

    def _refuse_when_full(self) -> None:
        """Refuse a chunk beside others for which there is no slot, or no memory just now."""
        if self._busy >= self._slots:
            raise WorkerFull(f"all {self._slots} slots are busy; place the chunk elsewhere")
        if self._busy and (free := self._limit_bytes - self._memory.used_bytes()) < CHUNK_BYTES:
            raise WorkerFull(
                f"{free} bytes of memory are free and a chunk takes {CHUNK_BYTES}; place it elsewhere"
            )

    def _refuse_stale(self, epoch: int) -> None:
        if epoch < self._epoch:
            why = f"found {epoch}; allowed is {self._epoch} or higher: a successor is active"
            raise StaleEpoch({"epoch": why})
        self._epoch = epoch

    async def _work(
        self, task: Task, source: Source, cancelled: threading.Event
    ) -> AsyncGenerator[Response]:
        throttled = threading.Event()

        def throttle(on: bool) -> None:
            (throttled.set if on else throttled.clear)()

        ingestion = self._start(task)
        thread = asyncio.create_task(asyncio.to_thread(ingestion.run, source, cancelled, throttle))
        try:
            while not (await asyncio.wait({thread}, timeout=BEAT_SECONDS))[0]:
                yield Response(progress=_progress(ingestion.tally, throttled.is_set()))
            yield self._end(task, thread)
        finally:
            cancelled.set()
            await asyncio.wait({thread})
            thread.exception()

    def _end(self, task: Task, thread: "asyncio.Task[Tally]") -> Response:
        try:
            tally = thread.result()
        except Cancelled:
            raise asyncio.CancelledError from None
        except (Exception, PanicException) as error:  # noqa: BLE001 whatever ends a chunk is said
            said = failed(error)
            report = log.exception if said.reason == "INTERNAL" else log.warning
            report("chunk.failed", chunk_id=task.chunk.chunk_id, reason=said.reason)
            return Response(failure=failure_message(said))
        self._metrics.done(tally)
        log.info(
            "chunk.completed",
            chunk_id=task.chunk.chunk_id,
            attempt=task.chunk_attempt,
            rows=tally.read_row_count,
            quarantined=tally.quarantined_row_count,
        )
        return Response(result=result_message(tally))


def _reach() -> Reach:
    """Return what the caller's token says that its tenant's sources may read."""
    principal = caller()
    return Reach(prefixes=principal.source_prefixes, account=principal.service_account)


def _refuse_too_large(source: str, plan: ingest_service_pb2.PlanChunksResponse) -> None:
    if plan.ByteSize() > LARGEST_PLAN:
        raise SourceTooLarge(
            f"the plan of {source} has {len(plan.chunks)} chunks in {plan.ByteSize()} bytes, and "
            f"{LARGEST_PLAN} fit; narrow `path` of the source, or deliver fewer and larger files",
            source=source,
            chunks=str(len(plan.chunks)),
            bytes=str(plan.ByteSize()),
            allowed=str(LARGEST_PLAN),
        )


def _progress(tally: Tally, throttled: bool) -> ingest_service_pb2.Progress:
    return ingest_service_pb2.Progress(
        row_count=tally.read_row_count, read_bytes=tally.read_bytes, throttled=throttled
    )

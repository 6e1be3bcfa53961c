"""A worker in memory, and one behind gRPC that does the same, for the suite that holds both."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any, Protocol

import grpc
from convergence.common.v1 import failure_pb2
from convergence.ingest.v1 import chunk_pb2, ingest_service_pb2_grpc
from convergence.ingest.v1 import ingest_service_pb2 as pb
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration
from prometheus_client import CollectorRegistry

from libs.common.app import Host, hosted
from libs.common.channel import open_channel
from libs.common.errors import ServiceError, Unavailable
from libs.common.names import PipelineName, RunName
from libs.common.settings import ServiceSettings
from services.orchestrator.runs import records as r
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.grpc_workers import GrpcWorker
from services.orchestrator.workers.memory_workers import Item, MemorySource, MemoryWorker
from services.orchestrator.workers.workers import (
    Assignment,
    ChunkFailed,
    Worker,
    WorkerGone,
)
from tests.unit.orchestrator.conductor.world import NOON, PIPELINE, spec

RUN = PIPELINE.run("r1")


class Bench(Protocol):
    """A worker and what it is made to do."""

    @property
    def worker(self) -> Worker:
        """Return it."""

    def source(self, **inputs: list[Item]) -> None:
        """Set the inputs; `a_csv` is `a.csv`."""

    def deliver(self, **deliveries: tuple[str, ...]) -> None:
        """Say which inputs are of which delivery."""

    def refuse(self, error: ServiceError) -> None:
        """Let the next plan fail."""

    def fail(self, failure: r.Failure, *, transient: bool, retry_after: float = 0.0) -> None:
        """Let the next chunk end with a failure."""

    def die(self) -> None:
        """Let the worker vanish in the middle of the next chunk."""

    def full(self) -> None:
        """Let the worker refuse the next chunk before it opens anything."""

    def hang(self) -> None:
        """Let chunks stop after their first beat."""

    def stopped(self) -> int:
        """Return how many chunks were told to stop."""


class InMemory:
    def __init__(self) -> None:
        self.worker = MemoryWorker("w1", MemorySource(), MemoryWarehouse())

    def source(self, **inputs: list[Item]) -> None:
        self.worker.source.inputs = {k.replace("_", "."): v for k, v in inputs.items()}

    def deliver(self, **deliveries: tuple[str, ...]) -> None:
        self.worker.source.deliveries = deliveries

    def refuse(self, error: ServiceError) -> None:
        self.worker.failures = [error]

    def fail(self, failure: r.Failure, *, transient: bool, retry_after: float = 0.0) -> None:
        self.worker.failures = [ChunkFailed(failure, transient=transient, retry_after=retry_after)]

    def die(self) -> None:
        self.worker.die = 1

    def full(self) -> None:
        self.worker.failures = [WorkerGone("full", refused=True)]

    def hang(self) -> None:
        self.worker.hang = asyncio.Event()

    def stopped(self) -> int:
        return self.worker.stopped


class Plain:
    """Tokens that nobody checks."""

    async def metadata(self, name: PipelineName | RunName) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {name}"),)


class OverGrpc(ingest_service_pb2_grpc.IngestServiceServicer):
    """An ingest service that does what a MemoryWorker does, and the client of it."""

    def __init__(self, channel: grpc.aio.Channel, registry: CollectorRegistry) -> None:
        self._channel, self._registry = channel, registry
        self.worker = GrpcWorker("w1", channel, Plain())
        self.memory = InMemory()
        self.refusal: ServiceError | None = None
        self.dying = self.filled = False
        self.requests: list[pb.IngestChunkRequest] = []
        self.plans: list[pb.PlanChunksRequest] = []
        self.callers: list[str] = []
        self.cut = 0
        self.stall = False
        self.pause = 0.0
        """Seconds between the last event of a chunk and the end of its call."""

    def ended(self, code: str) -> float:
        """Return how many calls for a chunk the worker has seen end so."""
        name = "convergence_ingest_rpc_seconds_count"
        labels = {"method": "/convergence.ingest.v1.IngestService/IngestChunk", "code": code}
        return self._registry.get_sample_value(name, labels) or 0.0

    def impatient(self, seconds: float) -> Worker:
        """Return the same worker for a caller that waits so long for a plan."""
        return GrpcWorker("w1", self._channel, Plain(), plan_seconds=seconds)

    def source(self, **inputs: list[Item]) -> None:
        self.memory.source(**inputs)

    def deliver(self, **deliveries: tuple[str, ...]) -> None:
        self.memory.deliver(**deliveries)

    def refuse(self, error: ServiceError) -> None:
        self.refusal = error

    def fail(self, failure: r.Failure, *, transient: bool, retry_after: float = 0.0) -> None:
        self.memory.fail(failure, transient=transient, retry_after=retry_after)

    def die(self) -> None:
        self.dying = True

    def full(self) -> None:
        self.filled = True

    def hang(self) -> None:
        self.memory.hang()

    def stopped(self) -> int:
        return self.cut

    async def PlanChunks(
        self, request: pb.PlanChunksRequest, context: Any
    ) -> pb.PlanChunksResponse:
        self.plans.append(request)
        if self.stall:
            try:
                await asyncio.Event().wait()
            finally:
                self.cut += 1
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            raise refusal
        planned = await self.memory.worker.plan(PIPELINE, spec(), None)
        return pb.PlanChunksResponse(
            chunks=[
                chunk_pb2.Chunk(
                    chunk_id=chunk.chunk_id,
                    input=chunk_pb2.Input(
                        input_id=chunk.input_id,
                        content_hash=chunk.content_hash,
                        delivery=chunk.delivery,
                    ),
                )
                for chunk in planned.chunks
            ],
            deliveries=planned.deliveries,
            extra_columns=["other"],
            evolved_columns=[pb.Column(name="other", type="STRING", mode="NULLABLE")],
        )

    async def IngestChunk(
        self, request: pb.IngestChunkRequest, context: Any
    ) -> AsyncGenerator[pb.IngestChunkResponse]:
        self.requests.append(request)
        self.callers.append(dict(context.invocation_metadata())["authorization"])
        if self.filled:
            raise Unavailable("no free slot", reason="WORKER_FULL")
        yield pb.IngestChunkResponse(accepted=pb.Accepted(slot_count=2))
        if self.dying:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "Socket closed")
        try:
            async for event in self.memory.worker.ingest(assignment(request.chunk.input.input_id)):
                if isinstance(event, r.Landed):
                    yield pb.IngestChunkResponse(result=result_of(event))
            await asyncio.sleep(self.pause)
        except ChunkFailed as failed:
            yield pb.IngestChunkResponse(failure=failure_of(failed))
            await asyncio.sleep(self.pause)
        except asyncio.CancelledError:
            self.cut += 1
            raise


def failure_of(failed: ChunkFailed) -> pb.ChunkFailure:
    delay = Duration()
    delay.FromTimedelta(timedelta(seconds=failed.retry_after))
    said = failed.failure
    return pb.ChunkFailure(
        failure=failure_pb2.Failure(
            kind=f"FAILURE_KIND_{said.kind.upper()}",
            reason=said.reason,
            message=said.message,
            advice=said.advice,
            metadata=said.metadata,
        ),
        transient=failed.transient,
        retry_delay=delay,
    )


def result_of(landed: r.Landed) -> pb.ChunkResult:
    return pb.ChunkResult(
        stream=landed.stream,
        quarantine_stream=landed.quarantine_stream,
        read_row_count=landed.read_row_count,
        landed_row_count=landed.landed_row_count,
        quarantined_row_count=landed.quarantined_row_count,
        read_bytes=landed.read_bytes,
        money=[
            pb.MoneySum(
                column=m.column,
                read=f"{m.read:f}",
                landed=f"{m.landed:f}",
                quarantined=f"{m.quarantined:f}",
                quarantined_row_count=m.quarantined_row_count,
            )
            for m in landed.money
        ],
    )


class Later(ingest_service_pb2_grpc.IngestServiceServicer):
    """Forwards to a servicer that is made after its server."""

    def __init__(self, made: list[OverGrpc]) -> None:
        self._made = made

    async def PlanChunks(
        self, request: pb.PlanChunksRequest, context: Any
    ) -> pb.PlanChunksResponse:
        return await self._made[0].PlanChunks(request, context)

    async def IngestChunk(
        self, request: pb.IngestChunkRequest, context: Any
    ) -> AsyncGenerator[pb.IngestChunkResponse]:
        async for response in self._made[0].IngestChunk(request, context):
            yield response


def assignment(input_id: str = "a.csv", **changes: Any) -> Assignment:
    message = chunk_pb2.Chunk(chunk_id=f"{input_id}@1", input=chunk_pb2.Input(input_id=input_id))
    plain = Assignment(
        run=RUN, run_attempt=2, chunk_attempt=3_000_007, epoch=3, spec=spec(),
        chunk=r.Chunk(
            chunk_id=f"{input_id}@1", input_id=input_id, content_hash="h",
            message=json_format.MessageToJson(message, indent=None),
        ),
        scope=(("_source", ("a.csv", "b.csv")),), suite="", table="p.d.t__r1",
        quarantine_table="p.d.t__quarantine", staging=True, snapshot=17, ingest_time=NOON,
        deadline=NOON + timedelta(hours=2),
    )  # fmt: skip
    return dataclasses.replace(plain, **changes)


@contextlib.asynccontextmanager
async def over_grpc() -> AsyncGenerator[OverGrpc]:
    """Serve the work of a worker in memory on a free port."""
    made: list[OverGrpc] = []

    @contextlib.asynccontextmanager
    async def attach(host: Host, _: ServiceSettings) -> AsyncGenerator[None]:
        ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(Later(made), host.server)
        yield

    async with (
        hosted("ingest", ServiceSettings(), attach) as (host, address),
        open_channel(address) as channel,
    ):
        made.append(OverGrpc(channel, host.registry))
        yield made[0]

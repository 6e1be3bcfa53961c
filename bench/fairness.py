"""`python -m bench.fairness`: what a crowd costs others.

Two parts. `crowd`: a real orchestrator and auth, real gRPC to two workers that take a set time for
each chunk instead of reading anything, journal and tables in memory; all of them, and those who call,
share one process and so one core. `minute`: a mesh, of processes of its own (`bench/minute.py`).
Prints a table; `--write` puts it into docs/fairness.md.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import math
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from convergence.ingest.v1 import chunk_pb2, ingest_service_pb2_grpc
from convergence.ingest.v1 import ingest_service_pb2 as pb
from convergence.orchestrator.v1 import run_service_pb2 as runs_pb

from bench import minute
from bench.figures import Figure
from bench.pages import report
from libs.common.app import Host, hosted
from libs.common.channel import open_channel
from libs.common.errors import Unavailable
from libs.common.names import RunName
from libs.common.settings import ServiceSettings
from services.orchestrator.specs import LimitsSpec, PipelineSpec
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.grpc_workers import GrpcWorker
from services.orchestrator.workers.memory_workers import Item, MemoryWorker
from services.orchestrator.workers.workers import Assignment
from tests.contracts.worker_bench import Plain, assignment, result_of
from tests.integration.orchestrator.serving import ROOT, Edge, catalogue_of, edge_over
from tests.unit.orchestrator.conductor.world import World, spec

SLOTS: Final = 4
"""Chunks that each of the two workers takes at once."""

CROWD, LATE = "crowd", "late"
T = TypeVar("T")


@dataclasses.dataclass(frozen=True, slots=True)
class Begun:
    """A chunk that a worker has begun."""

    tenant: str
    run: str
    at: float


@dataclasses.dataclass(slots=True)
class Floor:
    """What the workers are told and what they did."""

    chunks: dict[str, int]
    """Chunks of a run, by tenant; 1 of all others."""
    chunk_seconds: float
    begun: list[Begun] = dataclasses.field(default_factory=list)
    took: list[float] = dataclasses.field(default_factory=list)

    async def first(self, run: str) -> float | None:
        """Return when the first chunk of a run was begun; None before."""
        return next((begun.at for begun in self.begun if begun.run == run), None)


class OneRow(MemoryWorker):
    """Finds one row in every chunk."""

    def items(self, a: Assignment) -> list[Item]:
        return [Item(scope=a.chunk.input_id, money=("1",))]


class SlowWorker(ingest_service_pb2_grpc.IngestServiceServicer):
    """Takes a while for each chunk and reads nothing."""

    def __init__(self, address: str, world: World, floor: Floor) -> None:
        self._memory = OneRow(address, world.source, world.warehouse)
        self._floor = floor
        self._busy = 0

    async def PlanChunks(
        self, request: pb.PlanChunksRequest, context: Any
    ) -> pb.PlanChunksResponse:
        _, tenant, _, pipeline, *_ = request.parent.split("/")
        names = [f"{pipeline}.{n}.csv" for n in range(self._floor.chunks.get(tenant, 1))]
        inputs = [chunk_pb2.Input(input_id=name, content_hash=name) for name in names]
        return pb.PlanChunksResponse(
            chunks=[chunk_pb2.Chunk(chunk_id=x.input_id, input=x) for x in inputs]
        )

    async def IngestChunk(
        self, request: pb.IngestChunkRequest, context: Any
    ) -> AsyncGenerator[pb.IngestChunkResponse]:
        if self._busy >= SLOTS:
            raise Unavailable("no free slot", reason="WORKER_FULL")
        run, began = RunName.parse(request.run), time.time()
        self._busy += 1
        try:
            self._floor.begun.append(Begun(run.tenant, request.run, began))
            yield pb.IngestChunkResponse(accepted=pb.Accepted(slot_count=SLOTS))
            await asyncio.sleep(self._floor.chunk_seconds)
            asked = assignment(
                request.chunk.input.input_id,
                run=run,
                chunk_attempt=request.chunk_attempt,
                table=request.table,
                quarantine_table=request.quarantine_table,
                snapshot=request.snapshot,
            )
            chunk = asked.chunk.model_copy(update={"chunk_id": request.chunk.chunk_id})
            landed = self._memory._land(dataclasses.replace(asked, chunk=chunk))
            yield pb.IngestChunkResponse(result=result_of(landed))
        finally:
            self._busy -= 1
            self._floor.took.append(time.time() - began)


@contextlib.asynccontextmanager
async def serving(floor: Floor, specs: Sequence[PipelineSpec]) -> AsyncGenerator[Edge]:
    """Run auth, an orchestrator that knows pipelines, and two workers."""
    world = World()
    async with contextlib.AsyncExitStack() as stack:
        workers = []
        for name in ("w1", "w2"):

            @contextlib.asynccontextmanager
            async def attach(
                host: Host, _: ServiceSettings, name: str = name
            ) -> AsyncGenerator[None]:
                ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(
                    SlowWorker(name, world, floor), host.server
                )
                yield

            _, address = await stack.enter_async_context(
                hosted("ingest", ServiceSettings(), attach)
            )
            channel = await stack.enter_async_context(open_channel(address))
            workers.append(GrpcWorker(name, channel, Plain()))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        dispatcher = Dispatcher(workers, monotonic=time.monotonic, sleep=asyncio.sleep)
        edge = edge_over(
            world,
            folder,
            catalogue=catalogue_of(*specs),
            dispatcher=dispatcher,
            clock=lambda: datetime.now(UTC),
            sleep=asyncio.sleep,
            new_run_id=_ids(),
        )
        yield await stack.enter_async_context(edge)


def _ids() -> Any:
    numbers = iter(range(10**9))
    return lambda: f"r{next(numbers)}"


def pipeline(tenant: str, name: str, parallel: int = 16) -> PipelineSpec:
    plain = spec(mode="append")
    target = plain.target.model_copy(update={"table": name})
    limits = LimitsSpec(max_parallel_chunks=parallel)
    update = {"tenant": tenant, "pipeline": name, "target": target, "limits": limits}
    return plain.model_copy(update=update)


async def create(edge: Edge, one: PipelineSpec) -> tuple[str, float]:
    """Start a run; return its name and the seconds that CreateRun took."""
    began = time.perf_counter()
    parent = f"tenants/{one.tenant}/pipelines/{one.pipeline}"
    run = await edge.create(parent=parent, secret=ROOT)
    return run.name, time.perf_counter() - began


async def planned(edge: Edge, run: str) -> float:
    """Return when a run's chunks began to wait, in seconds since 1970."""
    asked = runs_pb.ListRunEventsRequest(parent=run, page_size=500)
    answer = await edge.ask("ListRunEvents", asked, secret=ROOT)
    (event,) = (event for event in answer.events if event.event_type == "run.planned")
    return float(event.event_time.ToNanoseconds() / 1e9)


async def queue_of(edge: Edge, most: int) -> int:
    """Return how many chunks wait, 0 while they are fewer than `most`."""
    asked = runs_pb.GetQueueRequest(parent="tenants/-")
    answer = await edge.ask("GetQueue", asked, secret=ROOT, seconds=60)
    count = sum(tenant.waiting_chunk_count for tenant in answer.tenants)
    return count if count >= most else 0


async def until(look: Callable[[], Awaitable[T | None]]) -> T:
    """Look until there is something to see, and return it."""
    while True:
        if found := await look():
            return found
        await asyncio.sleep(0.02)


async def crowd(chunk_seconds: float, queued: int, looks: int) -> list[Figure]:
    """One tenant has a queue of chunks; another asks, again and again, for one."""
    each = min(queued, 1000)
    specs = [pipeline(CROWD, f"p_{n}", parallel=1000) for n in range(math.ceil(queued / each))]
    late = [pipeline(LATE, f"p_{n}") for n in range(looks)]
    floor = Floor({CROWD: each}, chunk_seconds)
    async with serving(floor, [*specs, *late]) as edge:
        for one in specs:
            await create(edge, one)
        least = await until(functools.partial(queue_of, edge, queued * 19 // 20))
        waits, whole = list[float](), list[float]()
        for number, one in enumerate(late):
            await asyncio.sleep(chunk_seconds * (0.3 + number / looks))
            asked, (name, _) = time.time(), await create(edge, one)
            begun = await until(functools.partial(floor.first, name))
            waits.append(begun - await planned(edge, name))
            whole.append(begun - asked)
        took = list(floor.took)
    detail = f"of {looks}; median {statistics.median(waits):.2f} s; {least:,} chunks or more waited"
    slowest = f"a chunk takes {statistics.median(took):.2f} s, the longest {max(took):.2f} s"
    return [
        Figure(
            what=f"{queued:,} queued chunks of one tenant: the first chunk of another waits at most",
            value=max(waits),
            unit="s",
            bar=round(max(took), 2),
            detail=f"{detail}; {slowest}",
        ),
        Figure(
            what="the same from CreateRun on: planning and tables too",
            value=max(whole),
            unit="s",
            detail=f"median {statistics.median(whole):.2f} s",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fairness", description=__doc__)
    parser.add_argument("--queued", type=int, default=10_000, help="chunks of the crowd")
    parser.add_argument("--chunk-seconds", type=float, default=2.0, help="of a chunk of the crowd")
    parser.add_argument("--tenants", type=int, default=1000, help="with a schedule in one minute")
    parser.add_argument("--only", default="crowd,minute", help="parts, by comma")
    parser.add_argument("--write", action="store_true", help="put the table into its page")
    asked = parser.parse_args()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    parts = {
        "crowd": lambda: asyncio.run(crowd(asked.chunk_seconds, asked.queued, looks=10)),
        "minute": lambda: minute.measured(asked.tenants),
    }
    figures = [figure for name in asked.only.split(",") for figure in parts[name]()]
    return report("bench.fairness", figures, write=asked.write)


if __name__ == "__main__":
    raise SystemExit(main())

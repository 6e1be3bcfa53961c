"""The orchestrator on a free port of this process, beside a real auth, over neighbours in memory."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import grpc
from convergence.orchestrator.v1 import (
    backfill_service_pb2 as backfills_pb,
)
from convergence.orchestrator.v1 import (
    backfill_service_pb2_grpc as backfills_grpc,
)
from convergence.orchestrator.v1 import (
    pipeline_service_pb2 as pipelines_pb,
)
from convergence.orchestrator.v1 import (
    pipeline_service_pb2_grpc as pipelines_grpc,
)
from convergence.orchestrator.v1 import (
    run_pb2,
)
from convergence.orchestrator.v1 import (
    run_service_pb2 as runs_pb,
)
from convergence.orchestrator.v1 import (
    run_service_pb2_grpc as runs_grpc,
)
from convergence.orchestrator.v1 import (
    schedule_service_pb2 as schedules_pb,
)
from convergence.orchestrator.v1 import (
    schedule_service_pb2_grpc as schedules_grpc,
)
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from libs.common.app import Host, hosted
from libs.common.channel import open_channel
from libs.common.names import PLATFORM
from services.auth import keys
from services.auth.key_store import MemoryKeyStore
from services.auth.tenant_store import MemoryTenantStore
from services.auth.tenants import Limits, Tenant, TenantState
from services.orchestrator.app import Parts, Settings, register
from services.orchestrator.configs.catalogue import Catalogue, MemoryCatalogue
from services.orchestrator.elections.file_election import FileElection
from services.orchestrator.journal.journal import Journal
from services.orchestrator.specs import PipelineSpec
from services.orchestrator.tokens.grpc_tokens import RunTokens
from services.orchestrator.workers.dispatcher import Dispatcher
from tests.integration.auth.serving import CREDENTIAL, Served, key, record, served
from tests.unit.orchestrator.conductor.world import NOON, World, spec

NOW: Final = datetime.now(UTC)
WRITER, READER, LISTER = (keys.new_secret("acme_corp") for _ in range(3))
NEIGHBOUR: Final = keys.new_secret("widgetsinc")
ROOT: Final = keys.new_secret(PLATFORM)
ENDED, REVOKED, UNKNOWN = (keys.new_secret("acme_corp") for _ in range(3))
SLEEPER: Final = keys.new_secret("sleepers")
HURRIED: Final = keys.new_secret("hurried")
USER: Final = frozenset({"runs:read", "runs:write", "pipelines:read"})
PLENTY: Final = Limits(calls_per_second=10_000, call_burst=10_000)
TENANTS: Final = (
    Tenant(tenant_id="acme_corp", create_time=NOW, update_time=NOW, limits=PLENTY),
    Tenant(
        tenant_id="widgetsinc",
        create_time=NOW,
        update_time=NOW,
        limits=dataclasses.replace(PLENTY, slot_weight=2.0, chunk_count=3),
    ),
    Tenant(
        tenant_id="hurried",
        create_time=NOW,
        update_time=NOW,
        limits=Limits(calls_per_second=0.001, call_burst=1),
    ),
    Tenant(tenant_id="sleepers", create_time=NOW, update_time=NOW, state=TenantState.SUSPENDED),
)
PIPELINE: Final = "tenants/acme_corp/pipelines/p_bill"


def key_store() -> MemoryKeyStore:
    """The keys of two tenants, of a suspended one and of the platform."""
    return MemoryKeyStore(
        record(WRITER, "acme_corp", scopes=USER),
        record(READER, "acme_corp", scopes=frozenset({"runs:read"})),
        record(LISTER, "acme_corp", scopes=frozenset({"pipelines:read"})),
        record(NEIGHBOUR, "widgetsinc", scopes=USER),
        record(ROOT, PLATFORM, scopes=keys.SCOPES),
        record(ENDED, "acme_corp", expire_time=NOW),
        record(REVOKED, "acme_corp", active=False),
        record(SLEEPER, "sleepers", scopes=USER),
        record(HURRIED, "hurried", scopes=USER),
    )


def catalogue_of(*specs: PipelineSpec) -> MemoryCatalogue:
    made = MemoryCatalogue()
    for one in specs or (spec(), spec().model_copy(update={"tenant": "widgetsinc"})):
        made.put(one, at=NOON)
    return made


def stamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


@dataclasses.dataclass(slots=True, kw_only=True)
class Edge:
    """A running orchestrator: what is behind it, and stubs of its services."""

    world: World
    auth: Served
    host: Host
    address: str
    channel: grpc.aio.Channel

    @property
    def runs(self) -> runs_grpc.RunServiceAsyncStub:
        return runs_grpc.RunServiceStub(self.channel)

    @property
    def schedules(self) -> schedules_grpc.ScheduleServiceAsyncStub:
        return schedules_grpc.ScheduleServiceStub(self.channel)

    @property
    def pipelines(self) -> pipelines_grpc.PipelineServiceAsyncStub:
        return pipelines_grpc.PipelineServiceStub(self.channel)

    @property
    def backfills(self) -> backfills_grpc.BackfillServiceAsyncStub:
        return backfills_grpc.BackfillServiceStub(self.channel)

    async def ask(
        self, method: str, request: Message, *, secret: str = WRITER, seconds: float = 10.0
    ) -> Any:
        """Call a method by name; of a stream return the first message."""
        stub: Any = self.pipelines if method in PIPELINE_METHODS else self.runs
        if method in BACKFILL_METHODS:
            stub = self.backfills
        if "Schedule" in method:
            stub = self.schedules
        shown = key(secret) if secret else ()
        call = getattr(stub, method)(request, metadata=shown, timeout=seconds)
        if not method.startswith("Watch"):
            return await call
        try:
            return await anext(aiter(call))
        finally:
            call.cancel()

    async def create(
        self,
        *,
        request: int | None = None,
        secret: str = WRITER,
        parent: str = PIPELINE,
        **fields: Any,
    ) -> run_pb2.Run:
        """Start a run; `request` is the number of its request id."""
        request_id = str(uuid4() if request is None else UUID(int=request))
        asked = runs_pb.CreateRunRequest(parent=parent, request_id=request_id, **fields)
        answer: runs_pb.CreateRunResponse = await self.ask("CreateRun", asked, secret=secret)
        return answer.run

    async def get(self, name: str) -> run_pb2.Run:
        answer: runs_pb.GetRunResponse = await self.ask("GetRun", runs_pb.GetRunRequest(name=name))
        return answer.run

    async def until(self, name: str, *states: str) -> run_pb2.Run:
        """Wait until a run is in one of the states."""
        async with asyncio.timeout(10):
            while state_of(run := await self.get(name)) not in states:
                await asyncio.sleep(0.005)
        return run

    async def finish(self, **fields: Any) -> run_pb2.Run:
        """Start a run and return it once nothing moves by itself."""
        run = await self.create(**fields)
        return await self.until(run.name, *RESTING)

    def watch(
        self, name: str, *, cursor: str = "", timeout: float | None = None, secret: str = WRITER
    ) -> AsyncIterator[runs_pb.WatchRunResponse]:
        request = runs_pb.WatchRunRequest(name=name, cursor=cursor)
        call = self.runs.WatchRun(request, metadata=key(secret), timeout=timeout)
        return aiter(call)


RESTING: Final = ("HELD", "SUCCEEDED", "FAILED", "TRANSFORM_FAILED", "CANCELLED", "SUPERSEDED")

PIPELINE_METHODS: Final = frozenset({"GetPipeline", "ListPipelines", "ValidatePipeline", "PlanRun"})

BACKFILL_METHODS: Final = frozenset(
    method.name for method in backfills_pb.DESCRIPTOR.services_by_name["BackfillService"].methods
)

REQUESTS: Final[dict[str, Callable[[str], Message]]] = {
    "CreateRun": lambda t: runs_pb.CreateRunRequest(parent=_pipeline(t), request_id=str(uuid4())),
    "GetRun": lambda t: runs_pb.GetRunRequest(name=_run(t)),
    "ListRuns": lambda t: runs_pb.ListRunsRequest(parent=_pipeline(t)),
    "WatchRun": lambda t: runs_pb.WatchRunRequest(name=_run(t)),
    "WatchRuns": lambda t: runs_pb.WatchRunsRequest(parent=_pipeline(t)),
    "GetQueue": lambda t: runs_pb.GetQueueRequest(parent=f"tenants/{t}"),
    "CancelRun": lambda t: runs_pb.CancelRunRequest(name=_run(t)),
    "RetryRun": lambda t: runs_pb.RetryRunRequest(name=_run(t)),
    "ApproveRun": lambda t: runs_pb.ApproveRunRequest(name=_run(t)),
    "DiscardRun": lambda t: runs_pb.DiscardRunRequest(name=_run(t)),
    "ExplainRun": lambda t: runs_pb.ExplainRunRequest(name=_run(t)),
    "ListRunEvents": lambda t: runs_pb.ListRunEventsRequest(parent=_run(t)),
    "ListRunResults": lambda t: runs_pb.ListRunResultsRequest(parent=_run(t)),
    "ListQuarantinedRows": lambda t: runs_pb.ListQuarantinedRowsRequest(parent=_run(t)),
    "GetPipeline": lambda t: pipelines_pb.GetPipelineRequest(name=_pipeline(t)),
    "ListPipelines": lambda t: pipelines_pb.ListPipelinesRequest(parent=f"tenants/{t}"),
    "ValidatePipeline": lambda t: pipelines_pb.ValidatePipelineRequest(name=_pipeline(t)),
    "PlanRun": lambda t: pipelines_pb.PlanRunRequest(parent=_pipeline(t)),
    "CreateBackfill": lambda t: backfills_pb.CreateBackfillRequest(
        parent=_pipeline(t),
        request_id=str(uuid4()),
        start_date="2026-11-01",
        end_date="2026-11-08",
    ),
    "GetBackfill": lambda t: backfills_pb.GetBackfillRequest(name=_backfill(t)),
    "ListBackfills": lambda t: backfills_pb.ListBackfillsRequest(parent=_pipeline(t)),
    "PauseBackfill": lambda t: backfills_pb.PauseBackfillRequest(name=_backfill(t)),
    "ResumeBackfill": lambda t: backfills_pb.ResumeBackfillRequest(name=_backfill(t)),
    "CancelBackfill": lambda t: backfills_pb.CancelBackfillRequest(name=_backfill(t)),
    "GetSchedule": lambda t: schedules_pb.GetScheduleRequest(name=_schedule(t)),
    "ListSchedules": lambda t: schedules_pb.ListSchedulesRequest(parent=f"tenants/{t}"),
    "PauseSchedule": lambda t: schedules_pb.PauseScheduleRequest(name=_schedule(t), reason="why"),
    "ResumeSchedule": lambda t: schedules_pb.ResumeScheduleRequest(name=_schedule(t)),
}
"""A request of each RPC about a run, pipeline or backfill that is not there, by tenant."""


def _pipeline(tenant: str) -> str:
    return f"tenants/{tenant}/pipelines/p_gone"


def _schedule(tenant: str) -> str:
    return f"{_pipeline(tenant)}/schedule"


def _run(tenant: str) -> str:
    return f"{_pipeline(tenant)}/runs/r_gone"


def _backfill(tenant: str) -> str:
    return f"{_pipeline(tenant)}/backfills/b_gone"


def state_of(run: run_pb2.Run) -> str:
    return run_pb2.RunState.Name(run.state).removeprefix("RUN_STATE_")


@contextlib.asynccontextmanager
async def authenticating(folder: Path, **options: Any) -> AsyncGenerator[Served]:
    """Run auth with the tests' keys and tenants."""
    store = options.pop("key_store", None) or key_store()
    tenants = MemoryTenantStore(*TENANTS)
    async with served(folder, key_store=store, tenant_store=tenants, **options) as auth:
        yield await auth.settled()


@contextlib.asynccontextmanager
async def orchestrating(
    world: World,
    auth: Served,
    folder: Path,
    *,
    catalogue: Catalogue | None = None,
    journal: Journal | None = None,
    **changes: Any,
) -> AsyncGenerator[Edge]:
    """Run one orchestrator over a world; leaving the block ends it, and the next goes on."""
    settings = Settings(lease=str(folder), **changes.pop("settings", {}))
    ids = itertools.count()
    clock = world.clock
    async with open_channel(auth.address) as channel:
        election = FileElection(folder)
        parts = Parts(
            auth=channel,
            catalogue=catalogue or catalogue_of(),
            election=election,
            journal=journal or world.journals.member(),
            warehouse=world.warehouse,
            dispatcher=Dispatcher(world.workers, monotonic=time.monotonic, sleep=asyncio.sleep),
            judge=world.judge,
            tenants=RunTokens(channel, credential=lambda: CREDENTIAL, clock=time.time),
            clock=clock,
            sleep=clock.sleep,
            new_run_id=lambda: f"r{next(ids)}",
        )
        parts = dataclasses.replace(parts, **changes)

        @contextlib.asynccontextmanager
        async def attach(host: Host, given: Settings) -> AsyncGenerator[None]:
            register(host, given, parts)
            yield
            await election.close()

        async with (
            hosted("orchestrator", settings, attach) as (host, address),
            open_channel(address) as edge,
        ):
            yield Edge(world=world, auth=auth, host=host, address=address, channel=edge)


@contextlib.asynccontextmanager
async def edge_over(world: World, folder: Path, **options: Any) -> AsyncGenerator[Edge]:
    """Run auth and an orchestrator that is active."""
    async with (
        authenticating(folder) as auth,
        orchestrating(world, auth, folder, **options) as edge,
    ):
        await active(edge)
        yield edge


async def active(edge: Edge) -> None:
    """Wait until the orchestrator leads."""
    name = "convergence_orchestrator_active"
    async with asyncio.timeout(10):
        while edge.host.registry.get_sample_value(name) != 1:
            await asyncio.sleep(0.01)

"""The orchestrator's settings and wiring."""

import asyncio
import contextlib
import dataclasses
import secrets
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar

import grpc
import pydantic
from convergence.auth.v1 import auth_service_pb2
from convergence.ingest.v1 import ingest_service_pb2
from convergence.orchestrator.v1 import (
    backfill_service_pb2_grpc,
    pipeline_service_pb2_grpc,
    run_service_pb2_grpc,
    schedule_service_pb2_grpc,
)
from convergence.quality.v1 import quality_service_pb2
from prometheus_client import CollectorRegistry, Gauge
from pydantic_settings import SettingsConfigDict

from libs.bigquery.client import BigQuery, Connection, connect
from libs.common.app import Host
from libs.common.channel import open_channel
from libs.common.garbage import made_to_stay
from libs.common.identity import Principal
from libs.common.limits import RateLimiter
from libs.common.listening import ADDRESS
from libs.common.peers import LOOPBACK, Proxies, networks
from libs.common.rpc import Scoped
from libs.common.settings import ServiceSettings
from libs.kubernetes.names import SCHEME, ObjectName
from services.orchestrator.active import Active, Loading, Seat, lead
from services.orchestrator.api.access import EDGE_SERVICES, SCOPES, missing
from services.orchestrator.api.backfill_servicer import BackfillServicer
from services.orchestrator.api.bigquery_metrics import BigQueryMetrics
from services.orchestrator.api.metrics import RunMetrics
from services.orchestrator.api.pipeline_servicer import PipelineServicer
from services.orchestrator.api.run_servicer import RunServicer
from services.orchestrator.api.schedule_metrics import ScheduleMetrics
from services.orchestrator.api.schedule_servicer import ScheduleServicer
from services.orchestrator.api.watches import Watches
from services.orchestrator.archive.archive import Archive, MemoryArchive
from services.orchestrator.archive.bigquery_archive import BigQueryArchive
from services.orchestrator.backfills.commands import BackfillCommands
from services.orchestrator.backfills.runner import BackfillRunner
from services.orchestrator.conductor.answers import PATIENCE_SECONDS
from services.orchestrator.conductor.commands import MOST_PENDING, Commands
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.limits import Limits
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.configs.catalogue import Catalogue
from services.orchestrator.configs.file_catalogue import FileCatalogue
from services.orchestrator.elections.elections import Election
from services.orchestrator.elections.file_election import FileElection
from services.orchestrator.elections.role import Role, give_up, keep
from services.orchestrator.journal.bigquery_journal import BigQueryJournal
from services.orchestrator.journal.checkpoints import Checkpoints
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import Journal
from services.orchestrator.judges.grpc_judges import GrpcJudge
from services.orchestrator.judges.judges import Judge
from services.orchestrator.projections.bigquery_projections import BigQueryProjections
from services.orchestrator.retries.pauses import Pauses
from services.orchestrator.retries.retries import Retries
from services.orchestrator.runs.records import Share
from services.orchestrator.schedules.scheduler import Scheduler
from services.orchestrator.schedules.tenants import MemoryTenants, Tenants
from services.orchestrator.tokens.grpc_tokens import EdgeAuthenticator, RunTokens
from services.orchestrator.warehouse.bigquery_warehouse import BigQueryWarehouse
from services.orchestrator.warehouse.warehouse import Warehouse
from services.orchestrator.workers.discovery import Discovery, FixedDiscovery
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.grpc_workers import GrpcWorker
from services.orchestrator.workers.roster import Roster

AUTH = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"].full_name
INGEST = ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"].full_name
QUALITY = quality_service_pb2.DESCRIPTOR.services_by_name["QualityService"].full_name


def _lease_name(text: str) -> str:
    found = ObjectName.parse(text)
    if found is not None and not found.pod:
        raise ValueError(f"found {text!r}; allowed is a folder, or {SCHEME}NAMESPACE/LEASE?pod=POD")
    return text


def _workers_name(text: str) -> str:
    if ObjectName.parse(text) is None:
        for address in filter(None, text.split(",")):
            if not ADDRESS.fullmatch(address):
                raise ValueError(
                    f"found {address!r}; allowed are addresses host:port with commas between them, "
                    f"or {SCHEME}NAMESPACE/SERVICE"
                )
    return text


Workers = Annotated[str, pydantic.AfterValidator(_workers_name)]
LeaseName = Annotated[str, pydantic.AfterValidator(_lease_name)]


class Settings(ServiceSettings):
    """Settings of the orchestrator."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_ORCHESTRATOR_")

    connection_seconds: ClassVar[float | None] = 5.0
    """Who is connected to one that does not lead is led to the one that does by its next connection alone."""

    configs: Path = Path("configs")
    """Directory of the tenants' folders."""
    auth: str = "127.0.0.1:50052"
    """Address of the auth service."""
    quality: str = "127.0.0.1:50053"
    """Address of the quality service."""
    workers: Workers = ""
    """Addresses of the workers, separated by commas, or `kubernetes://NAMESPACE/SERVICE`."""
    lease: LeaseName = ".convergence/orchestrator"
    """What elects the active one: a folder for a lock file, or `kubernetes://NAMESPACE/LEASE?pod=POD`."""
    credential: Path = Path(".convergence/keys/orchestrator_credential")
    """Owner-only file with the credential that auth gives run tokens for."""
    streams_end_with_server: bool = False
    """Whether write streams end with BigQuery's process, as the embedded one's do."""
    streams_per_hour: int = pydantic.Field(default=9_500, ge=0)
    """Write streams that chunks may open in an hour: BigQuery allows a project 10,000; 0 is no bound."""
    calls_per_second: float = pydantic.Field(default=50.0, gt=0)
    """Calls per second that a tenant may make on average, and twice as many at once after a pause,
    unless the tenant says otherwise."""
    trusted_proxies: Proxies = LOOPBACK
    """Networks whose `x-forwarded-for` is believed when failures are counted by address."""


def now() -> datetime:
    return datetime.now(UTC)


def new_run_id() -> str:
    """Return `r{date}t{time}_{random}`: sorts by creation, fits table names."""
    return f"r{now():%Y%m%dt%H%M%S}_{secrets.token_hex(4)}"


def new_backfill_id() -> str:
    """Return `b{date}t{time}_{random}`: sorts by creation."""
    return f"b{now():%Y%m%dt%H%M%S}_{secrets.token_hex(4)}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the orchestrator works with, opened."""

    auth: grpc.aio.Channel
    catalogue: Catalogue
    election: Election
    journal: Journal
    warehouse: Warehouse
    dispatcher: Dispatcher
    judge: Judge
    archive: Archive = dataclasses.field(default_factory=MemoryArchive)
    tenants: Tenants = dataclasses.field(default_factory=MemoryTenants)
    """Tells who may start anything, and what those may have of which something waits."""
    rest: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep
    """Passes time between two looks at schedules, and at limits."""
    beside: Callable[[Active], list[asyncio.Task[None]]] = lambda _: []
    """Starts the loops that run while this orchestrator is active."""
    loading: Loading = contextlib.nullcontext
    """As in `lead`."""
    clock: Callable[[], datetime] = now
    sleep: Callable[[float], Coroutine[None, None, None]] = asyncio.sleep
    new_run_id: Callable[[], str] = new_run_id
    new_backfill_id: Callable[[], str] = new_backfill_id
    patience_seconds: float = PATIENCE_SECONDS
    most_pending: int = MOST_PENDING
    shares: Callable[[str], Share | None] = lambda _: None
    """As in Mesh."""


@contextlib.asynccontextmanager
async def attach(host: Host, settings: Settings) -> AsyncGenerator[None]:
    """Open what the orchestrator needs and register its services; close it all on exit."""
    bigquery = connect(Connection.of(settings))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(bigquery.close)
        auth = await stack.enter_async_context(open_channel(settings.auth, retried=[AUTH]))
        quality = await stack.enter_async_context(open_channel(settings.quality, retried=[QUALITY]))
        tokens = RunTokens(
            auth, credential=lambda: settings.credential.read_text().strip(), clock=time.time
        )
        neighbours = _neighbours(settings, stack)
        election = neighbours.election
        stack.push_async_callback(election.close)
        if neighbours.role is not None:
            await give_up(neighbours.role)
        seconds = BigQueryMetrics(host.registry)
        journal = BigQueryJournal(
            bigquery,
            streams_end_with_server=settings.streams_end_with_server,
            observe=seconds.append.observe,
        )
        stack.push_async_callback(journal.close)
        parts = Parts(
            auth=auth,
            catalogue=FileCatalogue(settings.configs, clock=now),
            election=election,
            journal=journal,
            warehouse=BigQueryWarehouse(bigquery, observe=seconds.commit.observe),
            dispatcher=Dispatcher(
                monotonic=time.monotonic,
                sleep=asyncio.sleep,
                streams_per_hour=settings.streams_per_hour,
            ),
            judge=GrpcJudge(quality, tokens, location=settings.bigquery_location),
            tenants=tokens,
            beside=_beside(bigquery, neighbours.role, host.registry),
            shares=tokens.share,
            archive=BigQueryArchive(bigquery),
            loading=made_to_stay,
        )
        roster = Roster(neighbours.discovery, parts.dispatcher, lambda a: _worker(a, tokens))
        stack.push_async_callback(roster.close)
        host.background(roster.follow(), "workers")
        register(host, settings, parts)
        yield


def _worker(address: str, tokens: RunTokens) -> tuple[GrpcWorker, grpc.aio.Channel]:
    channel = open_channel(address, retried=[INGEST], never=[(INGEST, "IngestChunk")])
    return GrpcWorker(address, channel, tokens), channel


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Neighbours:
    """How the orchestrator finds others of its kind, callers find it, and it finds workers."""

    election: Election
    discovery: Discovery
    role: Role | None = None
    """None where callers have one address to go to."""


def _neighbours(settings: Settings, stack: contextlib.AsyncExitStack) -> _Neighbours:
    lease, workers = ObjectName.parse(settings.lease), ObjectName.parse(settings.workers)
    election: Election = FileElection(Path(settings.lease))
    discovery: Discovery = FixedDiscovery(filter(None, settings.workers.split(",")))
    role: Role | None = None
    if lease is None and workers is None:
        return _Neighbours(election=election, discovery=discovery)
    # Most of a second and 25 MiB that only a cluster needs.
    from libs.kubernetes.cluster import Cluster  # noqa: PLC0415
    from services.orchestrator.elections import kubernetes_election as elections  # noqa: PLC0415
    from services.orchestrator.elections import kubernetes_role as roles  # noqa: PLC0415
    from services.orchestrator.workers import kubernetes_discovery as discoveries  # noqa: PLC0415

    cluster = Cluster.open()
    stack.callback(cluster.close)
    if lease is not None:
        election = candidate = elections.KubernetesElection(cluster, lease)
        role = roles.KubernetesRole(cluster, lease, candidate.renew)
    if workers is not None:
        discovery = discoveries.KubernetesDiscovery(cluster, workers)
    return _Neighbours(election=election, discovery=discovery, role=role)


def register(host: Host, settings: Settings, parts: Parts) -> None:
    """Put the orchestrator's services on a host, and begin to stand for election."""
    seat = Seat()
    host.stopping.append(seat.leave)
    limiter = RateLimiter(rate=settings.calls_per_second, monotonic=time.monotonic)
    proxies = networks(settings.trusted_proxies)
    edge = EdgeAuthenticator(parts.auth, trusted=proxies, monotonic=time.monotonic)
    host.guard(Scoped(edge.authenticate, SCOPES, missing, lambda p: _admit(limiter, p)))
    host.describe(EDGE_SERVICES)
    run_service_pb2_grpc.add_RunServiceServicer_to_server(
        RunServicer(seat, parts.catalogue), host.server
    )
    pipeline_service_pb2_grpc.add_PipelineServiceServicer_to_server(
        PipelineServicer(seat, parts.catalogue), host.server
    )
    backfill_service_pb2_grpc.add_BackfillServiceServicer_to_server(
        BackfillServicer(seat, parts.catalogue), host.server
    )
    schedule_service_pb2_grpc.add_ScheduleServiceServicer_to_server(
        ScheduleServicer(seat), host.server
    )
    RunMetrics(host.registry, seat)
    lags = ScheduleMetrics(host.registry, seat).lags

    def open_history(epoch: int) -> History:
        return History(
            parts.journal, epoch=epoch, clock=parts.clock, new_id=lambda: uuid.uuid4().hex
        )

    def open_active(history: History) -> Active:
        mesh = Mesh(
            history=history,
            warehouse=parts.warehouse,
            dispatcher=parts.dispatcher,
            judge=parts.judge,
            archive=parts.archive,
            clock=parts.clock,
            sleep=parts.sleep,
            retries=Retries(Pauses(sleep=parts.sleep)),
            shares=parts.shares,
        )
        conductor = Conductor(mesh)
        commands = Commands(
            conductor,
            new_run_id=parts.new_run_id,
            patience_seconds=parts.patience_seconds,
            most_pending=parts.most_pending,
        )
        backfills = BackfillCommands(
            history,
            clock=parts.clock,
            new_id=parts.new_backfill_id,
            patience_seconds=parts.patience_seconds,
        )
        scheduler = Scheduler(
            conductor,
            commands,
            parts.catalogue,
            parts.tenants,
            sleep=parts.rest,
            observe_lag=lags.observe,
        )
        return Active(
            conductor=conductor,
            commands=commands,
            watches=Watches(conductor),
            backfills=backfills,
            backfilling=BackfillRunner(history, commands),
            scheduler=scheduler,
            limits=Limits(conductor, parts.tenants, sleep=parts.rest),
        )

    leading = lead(
        seat,
        parts.election,
        parts.journal,
        open_history,
        open_active,
        parts.beside,
        Pauses(sleep=parts.sleep),
        parts.loading,
    )
    host.background(leading, "leadership")


def _beside(
    bigquery: BigQuery, role: Role | None, registry: CollectorRegistry
) -> Callable[[Active], list[asyncio.Task[None]]]:
    refused = Gauge(
        "convergence_orchestrator_projection_refused_runs",
        "Runs of which BigQuery refuses a row of a table for people: they stay in memory.",
        registry=registry,
    )

    def start(active: Active) -> list[asyncio.Task[None]]:
        kept = [] if role is None else [asyncio.create_task(keep(role, asyncio.sleep), name="role")]
        projections = BigQueryProjections(bigquery, active.history, observe_refused=refused.set)
        checkpoints = Checkpoints(active.history, written=projections.written)
        return [
            *kept,
            asyncio.create_task(projections.follow(asyncio.sleep), name="projections"),
            asyncio.create_task(checkpoints.keep(asyncio.sleep), name="checkpoints"),
        ]

    return start


def _admit(limiter: RateLimiter, principal: Principal) -> None:
    if not principal.platform:
        limiter.admit(principal.tenant, rate=principal.calls_per_second, burst=principal.call_burst)

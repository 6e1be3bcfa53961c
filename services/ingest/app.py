"""The worker's settings and wiring."""

import contextlib
import datetime as dt
import os
import threading
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Final

import pydantic
from convergence.ingest.v1 import ingest_service_pb2, ingest_service_pb2_grpc
from pydantic_settings import SettingsConfigDict

from libs.bigquery.client import Connection, connect
from libs.common.app import Host
from libs.common.inside import guarded
from libs.common.memory import Memory
from libs.common.secret_files import FileSecrets
from libs.common.secret_manager_secrets import SecretManagerSecrets
from libs.common.secrets import Secrets, SecretStore
from libs.common.settings import ServiceSettings
from services.ingest.bigquery_sink import BigQuerySink
from services.ingest.ingestion import Ingestion, Task
from services.ingest.memory import slots_of
from services.ingest.metrics import IngestMetrics, append_seconds
from services.ingest.servicer import IngestServicer
from services.ingest.sink import Sink
from services.ingest.sources.guard import guarded_backend, open_http
from services.ingest.sources.opening import Pause, Sources
from services.ingest.stores.buckets import Buckets
from services.ingest.stores.tunnel import open_tunnel

INGEST: Final = ingest_service_pb2.DESCRIPTOR.services_by_name["IngestService"]
MIB: Final = 1024 * 1024


class Settings(ServiceSettings):
    """Settings of a worker."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="CONVERGENCE_INGEST_")

    auth: str = "127.0.0.1:50052"
    """Address of the auth service, for the keys that tokens are verified with."""
    configs: Path = Path("configs")
    """Directory of the tenants' folders: `file` sources and secret files."""
    slots: int = pydantic.Field(default=0, ge=0)
    """Chunks at once; 0 takes as many as fit into the memory that the process may have."""
    request_bytes: int = pydantic.Field(default=4 * MIB, ge=2 * MIB, le=8 * MIB)
    """Size of an append to BigQuery; 2 to 8 MiB."""
    allow_private_addresses: bool = False
    """Whether sources may reach loopback and private addresses, and plain HTTP."""
    local_files: bool = True
    """Whether `file` sources may read below the tenants' folders; off on a cluster."""
    secret_manager_project: str = ""
    """Project of Secret Manager; empty asks only secret files."""
    secret_manager_address: str = ""
    """`host:port` of a Secret Manager in plain text; empty means Google's."""


@contextlib.asynccontextmanager
async def attach(host: Host, settings: Settings) -> AsyncGenerator[None]:
    """Open BigQuery and register the worker; close it all on exit."""
    bigquery = connect(Connection.of(settings))
    with contextlib.closing(bigquery):
        observe = append_seconds(host.registry).observe
        sink = BigQuerySink(bigquery, request_bytes=settings.request_bytes, observe=observe)
        async with attach_sink(host, settings, sink):
            yield


@contextlib.asynccontextmanager
async def attach_sink(
    host: Host,
    settings: Settings,
    sink: Sink,
    *,
    pause: Pause = threading.Event.wait,
    memory: Memory | None = None,
) -> AsyncGenerator[None]:
    """Register the worker over a place where rows go.

    Args:
        host: Where.
        settings: Of the worker.
        sink: Where rows go.
        pause: How its sources wait.
        memory: What the process may have; None is what the kernel says.
    """
    private = settings.allow_private_addresses
    backend = guarded_backend(private)
    memory = memory or Memory()
    with open_http(allow_private_addresses=private) as http, open_tunnel(backend) as tunnel:
        buckets = Buckets(
            proxy=tunnel.url, backend=backend, http=http, allow_private_addresses=private
        )
        async with guarded(host, INGEST, audience="ingest", auth=settings.auth):
            sources = Sources(
                settings.configs,
                secrets_of(settings),
                http,
                buckets,
                local_files=settings.local_files,
                allow_private_addresses=private,
                pause=pause,
            )
            servicer = IngestServicer(
                sources,
                lambda task: _ingestion(task, sink),
                IngestMetrics(host.registry),
                slots=settings.slots or slots_of(memory.limit_bytes(), processors()),
                memory=memory,
                draining=host.draining,
            )
            ingest_service_pb2_grpc.add_IngestServiceServicer_to_server(servicer, host.server)
            yield


def _ingestion(task: Task, sink: Sink) -> Ingestion:
    return Ingestion(task, sink, now=lambda: dt.datetime.now(dt.UTC))


def processors() -> int:
    """Return how many processors the process may use."""
    return len(os.sched_getaffinity(0))


def secrets_of(settings: Settings) -> Secrets:
    """Return where tenants' secrets are: files first, then Secret Manager if a project is set."""
    stores: list[SecretStore] = [FileSecrets(settings.configs)]
    if settings.secret_manager_project:
        project, address = settings.secret_manager_project, settings.secret_manager_address
        stores.append(SecretManagerSecrets(project, address))
    return Secrets(stores, monotonic=time.monotonic)

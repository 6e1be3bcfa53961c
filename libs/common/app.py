"""A server process: gRPC with health and reflection, an admin port, signals and draining."""

import asyncio
import contextlib
import dataclasses
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import Any, Final, TypeVar

import grpc
import structlog
import uvloop
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry import trace
from prometheus_client import CollectorRegistry

from libs.common import telemetry
from libs.common.certificates import CertificateUnusable, server_credentials
from libs.common.listening import Listening
from libs.common.rpc import Access, CallInterceptor
from libs.common.settings import ServiceSettings

log = structlog.get_logger()

S = TypeVar("S", bound=ServiceSettings)
SWITCH_SECONDS: Final = 0.0005
"""How long a thread computes before the event loop may, which a call passes some ten times: at Python's own
5 ms a call beside threads that read answers of BigQuery would wait for 50."""

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING

OPTIONS: Final = (
    ("grpc.so_reuseport", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_send_message_length", 4 * 1024 * 1024),
)


@dataclasses.dataclass(slots=True, eq=False)
class Host:
    """What a service may use of the process that it runs in, for the length of its `attach`."""

    name: str
    server: grpc.aio.Server
    registry: CollectorRegistry
    calls: CallInterceptor
    health: health.aio.HealthServicer
    ready: bool = True
    services: set[str] = dataclasses.field(default_factory=set)
    tasks: list[asyncio.Task[None]] = dataclasses.field(default_factory=list)
    draining: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    """Set when the process was told to end: take no new work."""
    listen: str = ""
    """Where it listens in plain text, once bound; `tls_listen` is empty where it does not over TLS."""
    tls_listen: str = ""
    stopping: list[Callable[[], None]] = dataclasses.field(default_factory=list)
    """Called when no new call is taken any more: let those end that would wait for something to happen."""

    def guard(self, access: Access) -> None:
        """Set who may call. Without it every caller passes."""
        self.calls.access = access

    def describe(self, services: Iterable[str]) -> None:
        """Name the services that reflection lists."""
        self.services.update(services)

    def background(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run a loop beside the server; if it ends or crashes, the process ends."""
        self.tasks.append(asyncio.create_task(work, name=name))

    async def set_ready(self, ready: bool) -> None:
        """Say whether the process may be sent work."""
        self.ready = ready
        await self.health.set("", SERVING if ready else NOT_SERVING)


Attach = Callable[[Host, S], contextlib.AbstractAsyncContextManager[None]]


def _options(settings: ServiceSettings) -> tuple[tuple[str, int], ...]:
    if settings.connection_seconds is None:
        return OPTIONS
    return (*OPTIONS, ("grpc.max_connection_age_ms", round(1000 * settings.connection_seconds)))


@contextlib.asynccontextmanager
async def hosted(name: str, settings: S, attach: Attach[S]) -> AsyncGenerator[tuple[Host, str]]:
    """Run a service in this process; give its host and the address that was bound."""
    registry = CollectorRegistry()
    calls = CallInterceptor(name, registry, trace.get_tracer(__name__))
    server = grpc.aio.server(interceptors=[calls], options=_options(settings))
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    host = Host(name, server, registry, calls, checks)
    _bind(host, Listening.parse(settings.listen))
    async with attach(host, settings):
        names = (*sorted(host.services), reflection.SERVICE_NAME, health.SERVICE_NAME)
        reflection.enable_server_reflection(names, server, descriptor_pool.Default())
        await checks.set("liveness", SERVING)
        await host.set_ready(host.ready)
        await server.start()
        try:
            yield host, host.listen
        finally:
            await checks.enter_graceful_shutdown()
            for end in host.stopping:
                end()
            await server.stop(settings.grace_seconds)
            await _end(host.tasks)


def _bind(host: Host, listening: Listening) -> None:
    """Bind every address of a server."""
    here = listening.plain
    try:
        port = host.server.add_insecure_port(here)
        host.listen = f"{here.rpartition(':')[0]}:{port}"
        if listening.folder is not None:
            here = listening.tls
            port = host.server.add_secure_port(here, server_credentials(listening.folder))
            host.tls_listen = f"{here.rpartition(':')[0]}:{port}"
    except RuntimeError as error:
        raise telemetry.PortTaken(here, host.name, "listen") from error


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _serve(name: str, settings: S, attach: Attach[S]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        hosted(name, settings, attach) as (host, address),
        telemetry.admin(name, settings, host.registry, lambda: host.ready) as admin_address,
    ):
        encrypted = {"tls_listen": host.tls_listen} if host.tls_listen else {}
        log.info("server.started", listen=address, **encrypted, admin_listen=admin_address)
        await _until(stop, host)
        host.draining.set()
        host.ready = False
        await host.health.set("", NOT_SERVING)
        log.info("server.draining", seconds=settings.drain_seconds)
        await asyncio.sleep(settings.drain_seconds)
    log.info("server.stopped")


async def _until(stop: asyncio.Event, host: Host) -> None:
    """Wait for a signal; raise what ended a background loop."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({waiting, *host.tasks}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done - {waiting}:
        await task
        raise RuntimeError(f"{task.get_name()} ended")


def serve(name: str, settings: S, attach: Attach[S]) -> None:
    """Run a service until SIGTERM. Ends the process with status 1 and one sentence if it cannot."""
    project = "" if settings.bigquery_endpoint else settings.bigquery_project
    telemetry.configure_logging(name, settings.log_level, project)
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        with telemetry.tracing(name, settings.otlp_endpoint):
            uvloop.run(_serve(name, settings, attach))
    except (telemetry.PortTaken, CertificateUnusable) as error:
        sys.exit(f"{name}: {error}")
    except Exception:
        log.exception("server.crashed")
        sys.exit(1)

"""Logs, traces and metrics: configured here and nowhere else."""

import asyncio
import contextlib
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Generator, MutableMapping
from typing import Any, Final

import structlog
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from libs.common.settings import ServiceSettings

Event = MutableMapping[str, Any]
HTTP_SECONDS: Final = 5.0


class PortTaken(Exception):
    """An address to listen on belongs to another process, or to no network of this machine."""

    def __init__(self, address: str, service: str, field: str) -> None:
        variable = f"CONVERGENCE_{service.upper()}_{field.upper()}"
        super().__init__(
            f"{address} is taken by another process or cannot be bound; "
            f"end that process or set {variable} to another address"
        )


def _severity(_: object, method: str, event: Event) -> Event:
    event["severity"] = {"warn": "WARNING", "exception": "ERROR"}.get(method, method.upper())
    event["message"] = event.pop("event")
    return event


def _trace(_: object, __: str, event: Event) -> Event:
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = event.get("trace_id") or f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event


def _google(project: str) -> Callable[[object, str, Event], Event]:
    """Name trace and span as Cloud Logging does, so that it shows a line beside its trace."""

    def named(_: object, __: str, event: Event) -> Event:
        if project and "trace_id" in event:
            trace_name = f"projects/{project}/traces/{event['trace_id']}"
            event["logging.googleapis.com/trace"] = trace_name
        if project and "span_id" in event:
            event["logging.googleapis.com/spanId"] = event["span_id"]
        return event

    return named


class _Lines(structlog.PrintLogger):
    """Writes lines where they can be written: no work fails because its log is full or closed."""

    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed file raises ValueError
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


class _Libraries(logging.Handler):
    """Writes what libraries log in lines of the same form."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        structlog.get_logger().log(
            record.levelno, text, logger=record.name, exc_info=record.exc_info
        )


def configure_logging(service: str, level: str, project: str = "") -> None:
    """Write one JSON object a line to stdout, in the fields that Cloud Logging reads.

    Traces are named as those of `project` of Google Cloud; of none if it is empty.
    """
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    logging.basicConfig(handlers=[_Libraries()], level=logging.WARNING, force=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _trace,
            _google(project),
            lambda _, __, event: {"service": service, **event},
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.format_exc_info,
            _severity,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: _Lines(sys.stdout),
        cache_logger_on_first_use=True,
    )


@contextlib.contextmanager
def tracing(service: str, endpoint: str) -> Generator[None]:
    """Give every call a trace; export spans to an OTLP collector, if there is one, until the end.

    Without one nothing is recorded in spans: they only carry the ids that logs and calls name. With one
    every trace is exported that its caller samples, and of those that begin here as many as
    OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG say, all where they are not set.
    """
    provider = TracerProvider(
        sampler=None if endpoint else ALWAYS_OFF,
        resource=Resource.create({"service.name": f"convergence-{service}"}),
    )
    if endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # noqa: PLC0415  (a tenth of a start)
            OTLPSpanExporter,
        )

        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=True, timeout=5)
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        provider.shutdown()


@contextlib.asynccontextmanager
async def admin(
    service: str,
    settings: ServiceSettings,
    registry: CollectorRegistry,
    ready: Callable[[], bool],
) -> AsyncGenerator[str]:
    """Serve /healthz and /metrics; give the address that was bound.

    /healthz answers 200 while the process may be sent work, 503 otherwise.

    Raises:
        PortTaken: The address cannot be bound.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError, ValueError):
            async with asyncio.timeout(HTTP_SECONDS):
                request = (await reader.readline()).decode("latin-1").split(" ")
                while (await reader.readline()).strip():
                    pass
                path = request[1] if len(request) > 1 else ""
                writer.write(_respond(path, registry, ready))
                await writer.drain()
        writer.close()

    host, _, port = settings.admin_listen.rpartition(":")
    try:
        server = await asyncio.start_server(answer, host.strip("[]") or None, int(port))
    except OSError as error:
        raise PortTaken(settings.admin_listen, service, "admin_listen") from error
    try:
        yield f"{host}:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


def _respond(path: str, registry: CollectorRegistry, ready: Callable[[], bool]) -> bytes:
    match path.partition("?")[0]:
        case "/healthz" if ready():
            return _http("200 OK", b"ok\n")
        case "/healthz":
            return _http("503 Service Unavailable", b"not ready\n")
        case "/metrics":
            return _http("200 OK", generate_latest(registry), "text/plain; version=0.0.4")
        case _:
            return _http("404 Not Found", b"known are /healthz and /metrics\n")


def _http(status: str, body: bytes, kind: str = "text/plain") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body

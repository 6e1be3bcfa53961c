"""A call that a server answers is one span, below its caller's, with what OpenTelemetry says of gRPC."""

import contextlib
from collections.abc import Awaitable, Callable, Generator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
import structlog
from convergence.orchestrator.v1.run_service_pb2 import GetRunRequest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler
from prometheus_client import CollectorRegistry

from libs.common import errors
from libs.common.rpc import CallInterceptor

METHOD = "/convergence.trial.v1.TrialService/GetRun"
TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = ("traceparent", f"00-{TRACE}-{ABOVE}-01")
LEFT_OUT = ("traceparent", f"00-{TRACE}-{ABOVE}-00")


@pytest.fixture(autouse=True)
def lines() -> Generator[None]:
    """Keep what calls log to oneself."""
    with structlog.testing.capture_logs():
        yield


class Context:
    """A call without a socket."""

    def __init__(self, *metadata: tuple[str, str], peer: str = "ipv4:10.2.1.1:57284") -> None:
        self._metadata = metadata
        self._peer = peer
        self._ended: tuple[grpc.StatusCode, str] | None = None

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata

    def peer(self) -> str:
        return self._peer

    async def abort(self, code: grpc.StatusCode, details: str = "", _: object = ()) -> None:
        self._ended = code, details
        raise grpc.aio.AbortError

    def code(self) -> grpc.StatusCode:
        assert self._ended is not None
        return self._ended[0]

    def details(self) -> str:
        assert self._ended is not None
        return self._ended[1]


async def nothing(_: Context) -> None:
    """Do nothing."""


class Server:
    """An interceptor and the spans that it makes."""

    def __init__(self, sampler: Sampler = ALWAYS_ON) -> None:
        provider = TracerProvider(sampler=sampler)
        self._spans = InMemorySpanExporter()
        provider.add_span_processor(SimpleSpanProcessor(self._spans))
        self.calls = CallInterceptor("trial", CollectorRegistry(), provider.get_tracer("trial"))
        self.asked = 0

    async def handler(self, method: str, behavior: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        """Return what is called for a method whose own handler does `behavior`."""
        own: Any = grpc.unary_unary_rpc_method_handler(behavior)

        async def found(_: object) -> Any:
            self.asked += 1
            return own

        details: Any = SimpleNamespace(method=method)
        wrapped = await self.calls.intercept_service(found, details)
        return None if wrapped is own else wrapped

    async def call(
        self, context: Context, does: Callable[[Context], Awaitable[None]] = nothing
    ) -> trace.SpanContext:
        """Make a call; return the span that it was made in."""
        seen = list[trace.SpanContext]()

        async def behavior(_: object, given: Context) -> None:
            seen.append(trace.get_current_span().get_span_context())
            await does(given)

        handler = await self.handler(METHOD, behavior)
        with contextlib.suppress(grpc.aio.AbortError):
            await handler.unary_unary(GetRunRequest(), context)
        return seen[0]

    def span(self) -> ReadableSpan:
        """Return the one span that was exported."""
        (found,) = self._spans.get_finished_spans()
        return found

    def spans(self) -> int:
        return len(self._spans.get_finished_spans())


async def test_a_call_is_a_span_below_its_callers() -> None:
    server = Server()
    within = await server.call(Context(SAMPLED, ("user-agent", "grpc-go/1.80")))
    span = server.span()
    assert (span.name, span.kind) == (METHOD, trace.SpanKind.SERVER)
    assert span.context == within
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == ABOVE
    assert span.end_time is not None
    assert dict(span.attributes or {}) == {
        "rpc.system": "grpc",
        "rpc.service": "convergence.trial.v1.TrialService",
        "rpc.method": "GetRun",
        "rpc.user_agent": "grpc-go/1.80",
        "rpc.grpc.status_code": 0,
        "net.peer.ip": "10.2.1.1",
        "net.peer.port": "57284",
    }


async def test_a_call_without_a_trace_begins_one() -> None:
    server = Server()
    within = await server.call(Context())
    assert within.is_valid
    assert server.span().context == within
    assert server.span().parent is None


async def test_a_call_that_is_not_sampled_has_ids_and_is_not_exported() -> None:
    server = Server(ParentBased(ALWAYS_OFF))
    within = await server.call(Context(LEFT_OUT))
    assert f"{within.trace_id:032x}" == TRACE
    assert f"{within.span_id:016x}" != ABOVE
    assert server.spans() == 0


@pytest.mark.parametrize(
    ("peer", "facts"),
    [
        (
            "ipv4:127.0.0.1:7",
            {"net.peer.ip": "127.0.0.1", "net.peer.port": "7", "net.peer.name": "localhost"},
        ),
        (
            "ipv6:%5B::1%5D:7",
            {"net.peer.ip": "[::1]", "net.peer.port": "7", "net.peer.name": "localhost"},
        ),
        ("ipv4:10.2.1.1:7,127.0.0.1:8", {"net.peer.ip": "10.2.1.1", "net.peer.port": "7"}),
        ("unix:/run/trial", {}),
        ("unknown", {}),
    ],
)
async def test_a_span_says_who_calls(peer: str, facts: dict[str, str]) -> None:
    server = Server()
    await server.call(Context(peer=peer))
    said = server.span().attributes or {}
    assert {key: value for key, value in said.items() if key.startswith("net.")} == facts


def raising(error: Exception) -> Callable[[Context], Awaitable[None]]:
    async def fail(_: Context) -> None:
        raise error

    return fail


async def abort(context: Context) -> None:
    await context.abort(grpc.StatusCode.DATA_LOSS, "half of it")


@pytest.mark.parametrize(
    ("does", "code", "status", "why"),
    [
        (raising(errors.NotFound("no run r")), 5, trace.StatusCode.UNSET, None),
        (
            raising(errors.Unavailable("no answer", retry_after=1.0)),
            14,
            trace.StatusCode.ERROR,
            "StatusCode.UNAVAILABLE:no answer",
        ),
        (
            raising(ValueError("odd")),
            13,
            trace.StatusCode.ERROR,
            "StatusCode.INTERNAL:internal error",
        ),
        (abort, 15, trace.StatusCode.ERROR, "StatusCode.DATA_LOSS:half of it"),
    ],
    ids=["refused", "unavailable", "crashed", "aborted"],
)
async def test_a_call_that_fails_is_an_error_where_its_caller_cannot_mend_it(
    does: Callable[[Context], Awaitable[None]],
    code: int,
    status: trace.StatusCode,
    why: str | None,
) -> None:
    server = Server()
    await server.call(Context(), does)
    span = server.span()
    assert (span.attributes or {})["rpc.grpc.status_code"] == code
    assert (span.status.status_code, span.status.description) == (status, why)


async def test_a_span_of_a_crash_tells_it_once() -> None:
    server = Server()
    await server.call(Context(), raising(ValueError("odd")))
    (event,) = server.span().events
    facts = dict(event.attributes or {})
    assert (facts["exception.type"], facts["exception.message"]) == ("ValueError", "odd")


async def test_a_method_is_wrapped_once_each_by_its_own_handler() -> None:
    server, said = Server(), list[str]()

    def saying(word: str) -> Callable[[Any, Any], Awaitable[None]]:
        async def say(*_: object) -> None:
            said.append(word)

        return say

    for method in ("/a/One", "/a/Two", "/a/One", "/a/Two"):
        handler = await server.handler(method, saying(method))
        await handler.unary_unary(GetRunRequest(), Context())
    assert said == ["/a/One", "/a/Two", "/a/One", "/a/Two"]
    assert server.asked == 2


async def test_a_method_that_the_server_has_not_is_looked_for_each_time() -> None:
    server, looked = Server(), list[object]()

    async def missing(details: object) -> None:
        looked.append(details)

    details: Any = SimpleNamespace(method=METHOD)
    for _ in range(2):
        assert await server.calls.intercept_service(missing, details) is None
    assert len(looked) == 2
    await server.call(Context())
    assert server.span().name == METHOD


@pytest.mark.parametrize(
    "method",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_what_probes_and_reflection_ask_has_no_span(method: str) -> None:
    server = Server()
    assert await server.handler(method, nothing) is None  # type: ignore[arg-type]

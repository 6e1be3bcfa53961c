"""The span of a call that a server answers, in OpenTelemetry's words for gRPC."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import grpc
from opentelemetry import propagate, trace
from opentelemetry.context import attach

FAULTS: Final = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""What makes a span one of an error: other codes are for the caller to mend."""


def begin(tracer: trace.Tracer, method: str, metadata: Mapping[str, str], peer: str) -> trace.Span:
    """Begin the span of a call below its caller's, and make it the present one of this task.

    Every call has a task, and so a context, of its own: nothing needs to be put back.

    Args:
        tracer: Makes the span.
        method: `/package.Service/Method`.
        metadata: What came with the call, the caller's trace included.
        peer: As gRPC names it, such as `ipv4:127.0.0.1:5000`.
    """
    above = propagate.extract(metadata)
    span = tracer.start_span(method, above, trace.SpanKind.SERVER)
    attach(trace.set_span_in_context(span, above))
    if span.is_recording():
        service, _, name = method.lstrip("/").partition("/")
        facts = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name, **_peer(peer)}
        if agent := metadata.get("user-agent"):
            facts["rpc.user_agent"] = agent
        span.set_attributes(facts)
    return span


def end(span: trace.Span, code: grpc.StatusCode, why: str) -> None:
    """End the span of a call that ended with `code`, and with `why` as its details."""
    if span.is_recording():
        span.set_attribute("rpc.grpc.status_code", code.value[0])
        if code in FAULTS:
            span.set_status(trace.StatusCode.ERROR, f"{code}:{why}")
    span.end()


def _peer(peer: str) -> dict[str, str]:
    kind, _, rest = unquote(peer.partition(",")[0]).partition(":")
    if kind not in ("ipv4", "ipv6"):
        return {}
    host, _, port = rest.rpartition(":")
    found = {"net.peer.ip": host, "net.peer.port": port}
    return found | {"net.peer.name": "localhost"} if host in ("127.0.0.1", "[::1]") else found

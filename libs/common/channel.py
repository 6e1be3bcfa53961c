"""Clients of other services: keepalive, retries of repeatable calls, statuses back to kinds."""

import asyncio
import contextlib
import json
from collections.abc import Generator, Iterable
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from libs.common import errors
from libs.common.rpc import CODES, DETAILS

OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_send_message_length", 4 * 1024 * 1024),
)

RETRY: Final = {
    "maxAttempts": 4,
    "initialBackoff": "0.1s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"],
}

BROKEN: Final = frozenset(
    {
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
    }
)
"""What no service says: the call has ended before its answer, and may be repeated where it is repeatable."""

KINDS: Final = {code: kind for kind, code in CODES.items()}


def service_config(services: Iterable[str], never: Iterable[tuple[str, str]] = ()) -> str:
    """Return a gRPC service config that retries the calls of `services`, but not those in `never`.

    Args:
        services: Full service names.
        never: Pairs (full service name, method) that are not repeatable.
    """
    retried = {"name": [{"service": service} for service in services], "retryPolicy": RETRY}
    once = {"name": [{"service": s, "method": m} for s, m in never]}
    return json.dumps(
        {
            "methodConfig": [retried, *([once] if once["name"] else [])],
            "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.5},
        }
    )


def open_channel(
    address: str,
    *,
    retried: Iterable[str] = (),
    never: Iterable[tuple[str, str]] = (),
    interceptors: Iterable[grpc.aio.ClientInterceptor] = (),
) -> grpc.aio.Channel:
    """Open a channel to `host:port` in plain text, with spans around calls."""
    config = (("grpc.service_config", service_config(retried, never)),)
    return grpc.aio.insecure_channel(
        address,
        options=(*OPTIONS, *config),
        interceptors=[
            *interceptors,
            *aio_client_interceptors(),  # type: ignore[no-untyped-call]
            Leaving(),
        ],
    )


class Leaving(grpc.aio.UnaryUnaryClientInterceptor):
    """Ends a call whose caller is cancelled: those around it wait for its code and would leave it."""

    async def intercept_unary_unary(
        self, continuation: Any, client_call_details: grpc.aio.ClientCallDetails, request: Any
    ) -> Any:
        call = await continuation(client_call_details, request)
        try:
            await call.code()
        except asyncio.CancelledError:
            call.cancel()
            raise
        return call


def from_status(error: grpc.aio.AioRpcError) -> errors.ServiceError:
    """Return the kind of error that a failed call stands for, details included."""
    status = _status(error)
    kind = KINDS.get(error.code(), errors.ServiceError)
    if error.code() in BROKEN:
        kind = errors.Unavailable
    info, bad, retry = _details(status)
    message = error.details() or error.code().name
    violations = {v.field: v.description for v in bad.field_violations}
    made: errors.ServiceError
    if kind is errors.InvalidRequest:
        made = errors.InvalidRequest(violations or {"request": message}, message)
    elif kind is errors.FailedPrecondition:
        made = errors.FailedPrecondition(message, violations=violations)
    elif issubclass(kind, errors.Delayed):
        made = kind(message, retry_after=retry.retry_delay.ToNanoseconds() / 1e9 or 1.0)
    else:
        made = kind(message)
    made.reason = info.reason
    made.metadata = dict(info.metadata)
    return made


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    status = status_pb2.Status()
    for key, value in error.trailing_metadata() or ():
        if key == DETAILS:
            status.ParseFromString(value if isinstance(value, bytes) else value.encode("latin-1"))
    return status


def _details(
    status: status_pb2.Status,
) -> tuple[error_details_pb2.ErrorInfo, error_details_pb2.BadRequest, error_details_pb2.RetryInfo]:
    found = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details:
        for message in found:
            detail.Unpack(message)
    return found


@contextlib.contextmanager
def translated() -> Generator[None]:
    """Raise the failed calls of the block as the kinds that they stand for."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_status(error) from error

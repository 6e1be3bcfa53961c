"""Forwards calls of all four shapes as raw messages, through one stream-to-stream path."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio

from libs.common import errors
from libs.common.rpc import to_status
from libs.local.edge.routes import Upstream, owner

OWN_HOP: Final = frozenset({"user-agent", "te", "content-type", "grpc-accept-encoding"})
"""Metadata that gRPC writes anew on each connection."""

DETAILS: Final = "grpc-status-details-bin"

UNREACHABLE: Final[dict[Upstream, str]] = {
    "auth": "AUTH_UNAVAILABLE",
    "orchestrator": "NOT_ACTIVE",
}

Channels = Mapping[Upstream, grpc.aio.Channel]
RawCall: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"
RawMethod: TypeAlias = "grpc.aio.StreamStreamMultiCallable[bytes, bytes]"
Context = grpc.aio.ServicerContext[bytes, bytes]


class Forwarder(grpc.GenericRpcHandler):
    """Hands every method that has an owner to it; to gRPC all others are unknown methods."""

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        method = _text(details.method)
        upstream = owner(method)
        if upstream is None:
            return None
        channel = self._channels[upstream]

        async def forward(requests: AsyncIterator[bytes], context: Context) -> None:
            await _forward(channel, upstream, method, requests, context)

        return grpc.stream_stream_rpc_method_handler(forward)


def _raw(channel: grpc.aio.Channel, method: str) -> "RawMethod":
    return channel.stream_stream(method)


async def _forward(
    channel: grpc.aio.Channel,
    upstream: Upstream,
    method: str,
    requests: AsyncIterator[bytes],
    context: Context,
) -> None:
    call: RawCall = _raw(channel, method)(
        requests, metadata=_onwards(context), timeout=context.time_remaining()
    )
    try:
        await context.send_initial_metadata(tuple(await call.initial_metadata()))
        async for response in call:
            await context.write(response)
        code, text, trailing = await _end(call)
    except grpc.aio.AioRpcError as error:
        code, text, trailing = error.code(), error.details() or "", tuple(error.trailing_metadata())
    finally:
        call.cancel()
    if code is grpc.StatusCode.OK:
        context.set_trailing_metadata(trailing)
        return
    if code is grpc.StatusCode.UNAVAILABLE and DETAILS not in dict(trailing):
        text, trailing = _unreachable(upstream)
    await context.abort(code, text, trailing)


async def _end(call: Any) -> tuple[grpc.StatusCode, str, tuple[Any, ...]]:
    return await call.code(), await call.details() or "", tuple(await call.trailing_metadata())


def _onwards(context: Context) -> tuple[tuple[str, str | bytes], ...]:
    """Return the caller's metadata, its address appended to `x-forwarded-for`."""
    pairs = [
        (_text(key), value)
        for key, value in context.invocation_metadata() or ()
        if _text(key) not in OWN_HOP
    ]
    pairs.append(("x-forwarded-for", _address(context.peer())))
    return tuple(pairs)


def _address(peer: str) -> str:
    """Return the host of a gRPC peer such as `ipv4:127.0.0.1:5000` or `ipv6:%5B::1%5D:5000`."""
    host = peer.partition(":")[2].rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "") or "unknown"


def _unreachable(upstream: Upstream) -> tuple[str, tuple[tuple[str, bytes], ...]]:
    failure = errors.Unavailable(
        f"{upstream} does not answer; `convergence local status` says why, then try again",
        reason=UNREACHABLE[upstream],
    )
    _, status = to_status(failure)
    return status.message, ((DETAILS, status.SerializeToString()),)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

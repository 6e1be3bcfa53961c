"""Forwards calls of all four shapes as raw messages."""

import contextlib
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import grpc
import grpc.aio

from libs.common import errors
from libs.common.rpc import to_status
from libs.local.edge.routes import WHOLE, Upstream, owner

OWN_HOP: Final = frozenset({"user-agent", "te", "content-type", "grpc-accept-encoding"})
"""Metadata that gRPC writes anew on each connection."""

DETAILS: Final = "grpc-status-details-bin"

UNREACHABLE: Final[dict[Upstream, str]] = {
    "auth": "AUTH_UNAVAILABLE",
    "orchestrator": "NOT_ACTIVE",
}

Channels = Mapping[Upstream, grpc.aio.Channel]
Context = grpc.aio.ServicerContext[bytes, bytes]
Call: TypeAlias = "grpc.aio.UnaryStreamCall[bytes, bytes] | grpc.aio.StreamStreamCall[bytes, bytes]"


class Forwarder(grpc.GenericRpcHandler):
    """Hands every method that has an owner to it; to gRPC all others are unknown methods.

    A request of one message is sent on in one piece, as a client sends it: written into a stream it
    could meet a call that the service has ended already, and gRPC would hide the service's status.
    Other shapes go through a stream in each direction.
    """

    def __init__(self, channels: Channels) -> None:
        self._channels = channels

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        method = _text(details.method)
        upstream = owner(method)
        if upstream is None:
            return None
        whole = method in WHOLE
        channel = self._channels[upstream]
        open_call: Any = (channel.unary_stream if whole else channel.stream_stream)(method)

        async def forward(request: Any, context: Context) -> None:
            call = open_call(request, metadata=_onwards(context), timeout=context.time_remaining())
            await _pass_on(call, upstream, context)

        if whole:
            return grpc.unary_stream_rpc_method_handler(forward)
        return grpc.stream_stream_rpc_method_handler(forward)


async def _pass_on(call: Call, upstream: Upstream, context: Context) -> None:
    """Give the caller what the service says.

    Headers go out with the first answer: a call that fails without one may be repeated by its caller.
    """
    begun = False
    try:
        with contextlib.suppress(grpc.aio.AioRpcError):
            async for response in call:
                if not begun:
                    await context.send_initial_metadata(tuple(await call.initial_metadata()))
                    begun = True
                await context.write(response)
        code, text = await call.code(), await call.details() or ""
        trailing = tuple(await call.trailing_metadata())
    finally:
        call.cancel()
    if code is grpc.StatusCode.OK:
        context.set_trailing_metadata(trailing)
        return
    if code is grpc.StatusCode.UNAVAILABLE and DETAILS not in dict(trailing):
        text, trailing = _unreachable(upstream)
    await context.abort(code, text, trailing)


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

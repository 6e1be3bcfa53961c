"""One channel to an edge: the key goes with each call, failures come back as kinds."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Final, TypeVar, cast

import grpc
import grpc.aio
from convergence.auth.v1 import api_key_service_pb2, tenant_service_pb2
from convergence.orchestrator.v1 import pipeline_service_pb2, run_service_pb2
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import Message
from opentelemetry.instrumentation.grpc import aio_client_interceptors

from libs.client.addresses import Address
from libs.common import errors
from libs.common.channel import OPTIONS, RETRY, from_status

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Item = TypeVar("Item")

SERVICES: Final[tuple[ServiceDescriptor, ...]] = tuple(
    service
    for file in (
        tenant_service_pb2,
        api_key_service_pb2,
        pipeline_service_pb2,
        run_service_pb2,
    )
    for service in file.DESCRIPTOR.services_by_name.values()
)
CALL_SECONDS: Final = 10.0
LARGEST_PAGE: Final = 500
LONGEST_KEY: Final = 256
CAUSES: Final = (
    ("Connection refused", "connection refused"),
    ("Domain name not found", "no such host"),
    ("WRONG_VERSION_NUMBER", "it speaks no TLS; http://… calls it in plain text"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted"),
    ("Connection timed out", "connection timed out"),
    ("connect() timed out", "connection timed out"),
)
"""What gRPC's account of a failed connection contains, and what that means."""

SILENCE_SECONDS: Final = 45.0
"""A watch that says nothing for three times what the server promises is dead."""


def repeatable(services: Iterable[ServiceDescriptor] = SERVICES) -> list[dict[str, str]]:
    """Return the unary methods that their proto declares safe to repeat, as a service config names them."""
    return [
        {"service": method.containing_service.full_name, "method": method.name}
        for service in services
        for method in service.methods
        if method.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN
        and not method.server_streaming
    ]


class Connection:
    """A channel and a key. Must be used in the event loop that it was opened in."""

    def __init__(self, address: str, api_key: str, *, call_seconds: float = CALL_SECONDS) -> None:
        where = Address.parse(address)
        _check(api_key)
        self.address = address
        self.call_seconds = call_seconds
        self._metadata = (("x-api-key", api_key),) if api_key else ()
        self.channel = _open(where)

    async def close(self) -> None:
        await self.channel.close()

    async def call(
        self,
        rpc: grpc.aio.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
    ) -> Response:
        """Return the answer; raise the kind of `libs.common.errors` that the status stands for."""
        try:
            return await rpc(request, timeout=self.call_seconds, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            raise self._kind(error) from error

    async def stream(
        self,
        rpc: grpc.aio.UnaryStreamMultiCallable[Request, Response],
        request: Request,
    ) -> AsyncGenerator[Response]:
        """Yield the answers; a stream that falls silent or breaks off raises Unavailable."""
        call = rpc(request, metadata=self._metadata)
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    answer = await call.read()
                if answer is grpc.aio.EOF:
                    return
                yield cast("Response", answer)
        except TimeoutError as error:
            text = f"{self.address} sent nothing for {SILENCE_SECONDS:g} s"
            raise errors.Unavailable(text, address=self.address) from error
        except grpc.aio.AioRpcError as error:
            raise self._kind(error) from error
        finally:
            call.cancel()

    def _kind(self, error: grpc.aio.AioRpcError) -> errors.ServiceError:
        """Return the kind that a status stands for; what carries no reason names the address."""
        kind = from_status(error)
        if kind.reason or not isinstance(kind, errors.Unavailable):
            return kind
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            waited = f"{self.call_seconds:g} s"
            text = f"{self.address} did not answer within {waited}"
            return errors.Unavailable(text, address=self.address, waited=waited)
        said = error.details() or "no answer"
        why = next((cause for sign, cause in CAUSES if sign in said), said)
        text = f"{self.address} cannot be reached: {why}"
        return errors.Unavailable(text, address=self.address)


async def pages(
    fetch: Callable[[str, int], Awaitable[tuple[Iterable[Item], str]]], limit: int | None
) -> list[Item]:
    """Return up to `limit` items (None: all) of the pages that `fetch(token, size)` returns."""
    found: list[Item] = []
    token = ""
    while limit is None or len(found) < limit:
        size = LARGEST_PAGE if limit is None else min(limit - len(found), LARGEST_PAGE)
        items, token = await fetch(token, size)
        found.extend(items)
        if not token:
            break
    return found


def _check(api_key: str) -> None:
    """Raise ValueError for text that cannot be sent as a key; the text itself is not repeated."""
    if len(api_key) > LONGEST_KEY or not (api_key.isascii() and api_key.isprintable()):
        raise ValueError(
            f"found {len(api_key)} characters, some of which no key has, or too many; allowed are up "
            f"to {LONGEST_KEY} printable ASCII characters: copy the key again and nothing else"
        )


def _open(where: Address) -> grpc.aio.Channel:
    config = json.dumps({"methodConfig": [{"name": repeatable(), "retryPolicy": RETRY}]})
    options = (*OPTIONS, ("grpc.service_config", config))
    traced = aio_client_interceptors()  # type: ignore[no-untyped-call]
    if not where.tls:
        return grpc.aio.insecure_channel(where.target, options=options, interceptors=traced)
    credentials = grpc.ssl_channel_credentials()
    return grpc.aio.secure_channel(where.target, credentials, options=options, interceptors=traced)

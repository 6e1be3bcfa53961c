"""A service with an RPC of each shape whose behavior a test chooses, and its callers."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

import grpc
import structlog
from convergence.auth.v1.tenant_service_pb2 import UpdateTenantRequest
from convergence.orchestrator.v1.run_service_pb2 import GetRunRequest, ListRunsRequest
from google.protobuf.message import Message

from libs.common.app import Host, hosted
from libs.common.channel import from_status
from libs.common.errors import ServiceError
from libs.common.settings import ServiceSettings
from tests.support.eventually import eventually

SERVICE: Final = "convergence.trial.v1.TrialService"
RUN: Final = "tenants/acme/pipelines/p_daily/runs/r1"
Answer = GetRunRequest
"""Any message does for an answer."""

SHAPES: Final = {
    "UnaryUnary": ("unary", "unary"),
    "UnaryStream": ("unary", "stream"),
    "StreamUnary": ("stream", "unary"),
    "StreamStream": ("stream", "stream"),
}
REQUESTS: Final[dict[str, type[Message]]] = {
    "WithName": GetRunRequest,
    "WithParent": ListRunsRequest,
    "WithTenant": UpdateTenantRequest,
}
METHODS: Final = (*SHAPES, *REQUESTS)
STREAMS: Final = ("UnaryStream", "StreamStream")


async def nothing() -> None:
    """Do nothing."""


@dataclasses.dataclass(slots=True)
class Trial:
    """What calls meet.

    Dials: `first` runs when a call begins, then streams send `sends` answers, then `then` runs.
    """

    first: Callable[[], Awaitable[None]] = nothing
    sends: int = 0
    then: Callable[[], Awaitable[None]] = nothing
    call_count: int = 0
    context: Any = None

    async def answers(self, context: Any) -> AsyncIterator[Answer]:
        self.call_count += 1
        self.context = context
        await self.first()
        for number in range(self.sends):
            yield Answer(name=str(number))
        await self.then()

    async def answer(self, context: Any) -> Answer:
        async for _ in self.answers(context):
            pass
        return Answer(name="the answer")

    def turn(self, **dials: Any) -> None:
        """Set dials, and those not named as they were at first."""
        for field, value in dataclasses.asdict(Trial(**dials)).items():
            setattr(self, field, value)

    def handlers(self) -> grpc.GenericRpcHandler:
        async def unary(_: Any, context: Any) -> Answer:
            return await self.answer(context)

        async def stream(_: Any, context: Any) -> AsyncIterator[Answer]:
            async for answer in self.answers(context):
                yield answer

        made = {}
        for method in METHODS:
            asking, answering = SHAPES.get(method, ("unary", "unary"))
            make = getattr(grpc, f"{asking}_{answering}_rpc_method_handler")
            made[method] = make(
                unary if answering == "unary" else stream,
                request_deserializer=REQUESTS.get(method, GetRunRequest).FromString,
                response_serializer=Answer.SerializeToString,
            )
        return grpc.method_handlers_generic_handler(SERVICE, made)


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    """Return what raises `error`."""

    async def fail() -> None:
        raise error

    return fail


async def call(
    channel: grpc.aio.Channel,
    method: str,
    request: Message | None = None,
    *,
    into: list[str] | None = None,
    **given: Any,
) -> list[str]:
    """Call a method of any shape; return what its answers say, or put that `into` as it comes.

    Raises:
        AioRpcError: The call failed.
    """
    asking, answering = SHAPES.get(method, ("unary", "unary"))
    make = getattr(channel, f"{asking}_{answering}")
    sent = GetRunRequest(name=RUN) if request is None else request
    rpc = make(f"/{SERVICE}/{method}", type(sent).SerializeToString, Answer.FromString)
    # A stream of requests stays open and empty: gRPC's client fails by itself where it is still
    # sending while the server ends the call.
    calling = rpc(sent, **given) if asking == "unary" else rpc(**given)
    if answering == "unary":
        return [(await calling).name]
    said = [] if into is None else into
    async for answer in calling:
        said.append(answer.name)
    return said


async def refused(
    channel: grpc.aio.Channel, method: str, request: Message | None = None, **given: Any
) -> grpc.aio.AioRpcError:
    """Call a method; return the status that it fails with."""
    try:
        await call(channel, method, request, **given)
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError(f"{method} was not refused")


async def refusal(
    channel: grpc.aio.Channel, method: str, request: Message | None = None, **given: Any
) -> tuple[str, ServiceError]:
    """Call a method; return the name of the code that it fails with, and its kind."""
    status = await refused(channel, method, request, **given)
    return status.code().name, from_status(status)


@dataclasses.dataclass(slots=True)
class Served:
    """A host of a Trial, and a plain channel to it."""

    trial: Trial
    host: Host
    address: str
    channel: grpc.aio.Channel


@contextlib.asynccontextmanager
async def served(settings: ServiceSettings | None = None) -> AsyncGenerator[Served]:
    """Serve a Trial as every service is served, on a port of this machine."""
    trial = Trial()

    @contextlib.asynccontextmanager
    async def attach(host: Host, _: ServiceSettings) -> AsyncGenerator[None]:
        host.server.add_generic_rpc_handlers((trial.handlers(),))
        yield

    async with (
        hosted("trial", settings or ServiceSettings(grace_seconds=0), attach) as (host, address),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Served(trial, host, address, channel)


Lines = Sequence[structlog.typing.EventDict]


async def logged(lines: Lines, event: str) -> structlog.typing.EventDict:
    """Return the one line with an event, once it is there."""

    def found() -> Lines:
        return [line for line in lines if line["event"] == event]

    (line,) = await asyncio.to_thread(eventually, found, within=5)
    return line

"""The edge between a client and services in this process."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from convergence.auth.v1 import auth_service_pb2 as auth_pb
from convergence.auth.v1.auth_service_pb2_grpc import AuthServiceStub
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from libs.client import AsyncClient
from libs.common import errors
from libs.local.edge.routes import Upstream
from libs.local.edge.server import edge
from tests.support.fake_edge import SERVER_OPTIONS, FakeRuns, serving

PIPELINE = "tenants/acme_corp/pipelines/p_focus_billing"
SHAPES = "/convergence.orchestrator.v1.Shapes/"
Context = grpc.aio.ServicerContext[Any, Any]


class Shapes(grpc.GenericRpcHandler):
    """A method of each shape, on raw bytes, and one that never answers."""

    def __init__(self) -> None:
        self.begun, self.cancelled = asyncio.Event(), asyncio.Event()
        self.remaining: float | None = None
        self.metadata: dict[str, Any] = {}

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        name = str(details.method).removeprefix(SHAPES)
        handlers: dict[str, Any] = {
            "Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "Down": grpc.unary_stream_rpc_method_handler(self._down),
            "Up": grpc.stream_unary_rpc_method_handler(self._up),
            "Size": grpc.stream_unary_rpc_method_handler(self._size),
            "Both": grpc.stream_stream_rpc_method_handler(self._both),
            "Hang": grpc.unary_unary_rpc_method_handler(self._hang),
            "Fail": grpc.unary_stream_rpc_method_handler(self._fail),
        }
        return handlers.get(name)

    async def _unary(self, request: bytes, context: Context) -> bytes:
        self.remaining = context.time_remaining()
        self.metadata = dict(context.invocation_metadata() or ())
        await context.send_initial_metadata((("begun", "yes"),))
        context.set_trailing_metadata((("ended", "well"), ("raw-bin", b"\x00\xff")))
        return request[::-1]

    async def _down(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        del context
        for byte in request:
            yield bytes([byte])

    async def _up(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        del context
        return b"".join([request async for request in requests])

    async def _size(self, requests: AsyncIterator[bytes], context: Context) -> bytes:
        del context
        return str(sum([len(request) async for request in requests])).encode()

    async def _both(self, requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        del context
        async for request in requests:
            yield request.upper()

    async def _hang(self, request: bytes, context: Context) -> bytes:
        del request, context
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()
        raise AssertionError

    async def _fail(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        yield request
        trailing = (("grpc-status-details-bin", b"details"), ("why", "because"))
        await context.abort(grpc.StatusCode.ABORTED, "halfway", trailing)


@pytest.fixture
def shapes() -> Shapes:
    return Shapes()


@pytest.fixture
async def channel(shapes: Shapes) -> AsyncGenerator[grpc.aio.Channel]:
    async with (
        serving(handlers=[shapes]) as orchestrator,
        serving() as auth,
        edge("127.0.0.1:0", {"auth": auth, "orchestrator": orchestrator}) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened,
    ):
        yield opened


def _unary(
    channel: grpc.aio.Channel, name: str
) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    return channel.unary_unary(name if "/" in name else SHAPES + name)


def _down(
    channel: grpc.aio.Channel, name: str
) -> "grpc.aio.UnaryStreamMultiCallable[bytes, bytes]":
    return channel.unary_stream(SHAPES + name)


def _up(channel: grpc.aio.Channel, name: str) -> "grpc.aio.StreamUnaryMultiCallable[bytes, bytes]":
    return channel.stream_unary(SHAPES + name)


def _both(
    channel: grpc.aio.Channel, name: str
) -> "grpc.aio.StreamStreamMultiCallable[bytes, bytes]":
    return channel.stream_stream(SHAPES + name)


async def _said(*texts: bytes) -> AsyncIterator[bytes]:
    for text in texts:
        yield text


async def test_all_four_shapes_pass_through(channel: grpc.aio.Channel) -> None:
    assert await _unary(channel, "Unary")(b"abc") == b"cba"
    assert [x async for x in _down(channel, "Down")(b"abc")] == [b"a", b"b", b"c"]
    assert await _up(channel, "Up")(_said(b"a", b"bc")) == b"abc"
    both = _both(channel, "Both")(_said(b"a", b"b"))
    assert [x async for x in both] == [b"A", b"B"]


async def test_a_stream_answers_before_its_requests_end(channel: grpc.aio.Channel) -> None:
    call = _both(channel, "Both")()
    await call.write(b"one")
    assert await asyncio.wait_for(call.read(), 5) == b"ONE"
    await call.write(b"two")
    assert await asyncio.wait_for(call.read(), 5) == b"TWO"
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.OK


async def test_metadata_and_deadline_pass_in_both_directions(
    channel: grpc.aio.Channel, shapes: Shapes
) -> None:
    metadata = (("x-api-key", "k"), ("traceparent", "00-1"), ("raw-bin", b"\x01"))
    call = _unary(channel, "Unary")(b"", timeout=30, metadata=metadata)
    await call
    assert dict(await call.initial_metadata())["begun"] == "yes"
    ended = dict(await call.trailing_metadata())
    assert (ended["ended"], ended["raw-bin"]) == ("well", b"\x00\xff")
    assert shapes.metadata.items() >= dict(metadata).items()
    assert shapes.metadata["x-forwarded-for"] == "127.0.0.1"
    assert shapes.remaining is not None
    assert 20 < shapes.remaining < 31


async def test_a_message_of_20_mib_passes(channel: grpc.aio.Channel) -> None:
    big = bytes(20 * 1024**2)
    assert await _up(channel, "Size")(_said(big)) == str(len(big)).encode()


async def test_a_cancelled_call_is_cancelled_behind_the_edge(
    channel: grpc.aio.Channel, shapes: Shapes
) -> None:
    call = _unary(channel, "Hang")(b"")
    await asyncio.wait_for(shapes.begun.wait(), 5)
    assert call.cancel()
    await asyncio.wait_for(shapes.cancelled.wait(), 5)


async def test_a_deadline_ends_the_call_behind_the_edge_too(
    channel: grpc.aio.Channel, shapes: Shapes
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await _unary(channel, "Hang")(b"", timeout=0.2)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await asyncio.wait_for(shapes.cancelled.wait(), 5)


async def test_a_failure_in_mid_stream_keeps_code_text_and_details(
    channel: grpc.aio.Channel,
) -> None:
    call = _down(channel, "Fail")(b"x")
    assert await call.read() == b"x"
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call.read()
    trailing = dict(error.value.trailing_metadata())
    assert (error.value.code(), error.value.details()) == (grpc.StatusCode.ABORTED, "halfway")
    assert (trailing["grpc-status-details-bin"], trailing["why"]) == (b"details", "because")


async def test_a_call_that_is_ended_before_its_request_is_read_keeps_its_status() -> None:
    bare = grpc.aio.server(options=SERVER_OPTIONS)
    nowhere = f"127.0.0.1:{bare.add_insecure_port('127.0.0.1:0')}"
    await bare.start()
    method = "/convergence.orchestrator.v1.RunService/ListRuns"
    async with (
        edge("127.0.0.1:0", {"auth": nowhere, "orchestrator": nowhere}) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as opened,
    ):
        calls = [_unary(opened, method)(b"x") for _ in range(500)]
        codes = Counter([await call.code() for call in calls])
    await bare.stop(None)
    assert codes == {grpc.StatusCode.UNIMPLEMENTED: 500}


@pytest.mark.parametrize("method", ["Authenticate", "IssueRunToken", "ListSigningKeys"])
async def test_what_is_for_the_inside_is_unknown_at_the_edge(
    channel: grpc.aio.Channel, method: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await _unary(channel, f"/convergence.auth.v1.AuthService/{method}")(b"")
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await AuthServiceStub(channel).Authenticate(auth_pb.AuthenticateRequest(api_key="k"))
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_client_works_through_the_edge() -> None:
    runs = FakeRuns()
    async with (
        serving(runs=runs) as orchestrator,
        serving() as auth,
        edge("127.0.0.1:0", {"auth": auth, "orchestrator": orchestrator}) as port,
        AsyncClient(f"127.0.0.1:{port}", "key") as client,
    ):
        assert (await client.runs.start_and_wait(PIPELINE)).name.startswith(PIPELINE)
        assert (await client.tenants.create("acme_corp")).name == "tenants/acme_corp"
        runs.refusal = errors.QuotaExceeded("busy", reason="TOO_MANY_RUNS", retry_after=3)
        with pytest.raises(errors.QuotaExceeded) as refused:
            await client.runs.start(PIPELINE)
    assert (refused.value.reason, refused.value.retry_after) == ("TOO_MANY_RUNS", 3)


async def test_a_client_repeats_through_the_edge_what_it_repeats_without_it() -> None:
    runs = FakeRuns()
    runs.failures = [errors.Unavailable("away"), errors.Unavailable("away")]
    async with (
        serving(runs=runs) as orchestrator,
        serving() as auth,
        edge("127.0.0.1:0", {"auth": auth, "orchestrator": orchestrator}) as port,
        AsyncClient(f"127.0.0.1:{port}", "key") as client,
    ):
        run = await client.runs.start(PIPELINE)
    assert run.name == f"{PIPELINE}/runs/r1"
    assert len({request.request_id for request in runs.requests}) == 1
    assert len(runs.requests) == 3


async def test_a_service_that_is_down_is_named_with_a_reason() -> None:
    async with serving() as auth:
        pass
    async with (
        serving() as orchestrator,
        edge("127.0.0.1:0", {"auth": auth, "orchestrator": orchestrator}) as port,
        AsyncClient(f"127.0.0.1:{port}", "key") as client,
    ):
        with pytest.raises(errors.Unavailable, match="auth does not answer") as error:
            await client.tenants.create("acme_corp")
        assert error.value.reason == "AUTH_UNAVAILABLE"
        assert await client.runs.list("tenants/acme_corp")


async def test_the_edge_serves_only_while_everything_behind_it_does() -> None:
    async with contextlib.AsyncExitStack() as stack:
        behind: dict[Upstream, Any] = {}
        addresses: dict[Upstream, str] = {}
        for name in ("auth", "orchestrator"):
            server = grpc.aio.server(options=SERVER_OPTIONS)
            behind[name] = health.aio.HealthServicer()
            health_pb2_grpc.add_HealthServicer_to_server(behind[name], server)
            addresses[name] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            await server.start()
            stack.push_async_callback(server.stop, None)
        port = await stack.enter_async_context(edge("127.0.0.1:0", addresses))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        stub: Any = health_pb2_grpc.HealthStub(await stack.enter_async_context(channel))

        async def asked(service: str) -> str:
            answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
            return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)

        serves = health_pb2.HealthCheckResponse.SERVING
        stops = health_pb2.HealthCheckResponse.NOT_SERVING
        for one in behind.values():
            await one.set("", serves)
        assert await asked("") == "SERVING"
        await behind["auth"].set("", stops)
        assert await asked("") == "NOT_SERVING"
        assert await asked("convergence.auth.v1.TenantService") == "NOT_SERVING"
        assert await asked("convergence.orchestrator.v1.RunService") == "SERVING"
        assert await asked("liveness") == "SERVING"
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await asked("convergence.auth.v1.AuthService")
        assert error.value.code() is grpc.StatusCode.NOT_FOUND

"""BigQuery's Storage Write port with answers of its own, and a record of every stream.

A fault is armed for one method. `before`: the call is refused and not passed on; `after`: it is passed
on, and its answer is lost; `slow`: its answer comes late.
"""

import asyncio
import contextlib
import dataclasses
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import grpc
import grpc.aio
from google.cloud.bigquery_storage_v1 import types

from tests.faults.odometer import Odometer
from tests.faults.rest_port import Struck

SERVICE: Final = "/google.cloud.bigquery.storage.v1.BigQueryWrite/"
METHODS: Final = (
    "CreateWriteStream",
    "AppendRows",
    "FinalizeWriteStream",
    "BatchCommitWriteStreams",
)
CODES: Final = {
    "grpc_aborted": grpc.StatusCode.ABORTED,
    "grpc_unavailable": grpc.StatusCode.UNAVAILABLE,
    "grpc_exhausted": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "grpc_lost": grpc.StatusCode.UNAVAILABLE,
}
LARGE: Final = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


@dataclasses.dataclass(slots=True, kw_only=True)
class Stream:
    """What became of one write stream, by the clock of histories."""

    name: str
    opened: float
    open_call_count: int = 0
    last_append: float | None = None
    finalized: float | None = None
    committed: float | None = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Fault:
    kind: str
    method: str
    """One of METHODS."""
    seconds: float = 0.0
    match: str = ""
    """Only streams whose name has this pattern; of AppendRows only."""
    met: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)


class StoragePort(grpc.GenericRpcHandler):
    """Forwards raw messages of all methods."""

    def __init__(
        self,
        upstream: Callable[[], str],
        odometer: Odometer,
        struck: Struck,
        now: Callable[[], float],
    ) -> None:
        self._upstream, self._odometer, self._struck, self._now = upstream, odometer, struck, now
        self._armed: deque[Fault] = deque()
        self._server: grpc.aio.Server | None = None
        self._channel: grpc.aio.Channel | None = None
        self.streams: dict[str, Stream] = {}
        self.address = ""

    def arm(self, fault: Fault) -> None:
        """Let the next call of the fault's method meet it."""
        self._armed.append(fault)

    def disarm(self) -> None:
        self._armed.clear()

    async def open(self) -> None:
        self._server = grpc.aio.server(options=(*LARGE, ("grpc.so_reuseport", 0)))
        self._server.add_generic_rpc_handlers((self,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()

    async def close(self) -> None:
        assert self._server is not None
        await self._server.stop(0)
        if self._channel is not None:
            await self._channel.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        method = str(handler_call_details.method)
        name = method.removeprefix(SERVICE)
        if name == "AppendRows":
            return grpc.stream_stream_rpc_method_handler(self._append)

        async def forward(request: bytes, context: Any) -> bytes:
            return await self._forward(method, name, request, context)

        return grpc.unary_unary_rpc_method_handler(forward)

    @property
    def armed(self) -> bool:
        """Whether a fault waits for its call."""
        return bool(self._armed)

    async def _meet(self, method: str, stream: str = "") -> Fault | None:
        await self._odometer.add()
        for fault in self._armed:
            if fault.method == method and re.search(fault.match, stream):
                self._armed.remove(fault)
                fault.met.set()
                self._struck(fault.kind, method)
                return fault
        return None

    def _upstream_channel(self) -> grpc.aio.Channel:
        if self._channel is None:
            options = (
                *LARGE,
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 1000),
                ("grpc.max_reconnect_backoff_ms", 500),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_http_proxy", 0),
            )
            self._channel = grpc.aio.insecure_channel(self._upstream(), options=options)
        return self._channel

    async def _forward(self, method: str, name: str, request: bytes, context: Any) -> bytes:
        fault = await self._meet(name)
        if fault and fault.kind != "grpc_lost" and fault.kind != "grpc_slow":
            await context.abort(CODES[fault.kind], f"{fault.kind} by the test")
        call: Any = self._upstream_channel().unary_unary(method)
        try:
            answer: bytes = await call(request, timeout=context.time_remaining())
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
        self._note(name, request, answer)
        if fault and fault.kind == "grpc_slow":
            await asyncio.sleep(fault.seconds)
        elif fault:
            await context.abort(CODES[fault.kind], f"{fault.kind} by the test")
        return answer

    def _note(self, name: str, request: bytes, answer: bytes) -> None:
        now = self._now()
        if name == "CreateWriteStream":
            made = types.WriteStream.deserialize(answer).name
            self.streams[made] = Stream(name=made, opened=now)
        elif name == "FinalizeWriteStream":
            known = self.streams.get(types.FinalizeWriteStreamRequest.deserialize(request).name)
            if known and known.finalized is None:
                known.finalized = now
        elif name == "BatchCommitWriteStreams":
            for stream in types.BatchCommitWriteStreamsRequest.deserialize(request).write_streams:
                if known := self.streams.get(stream):
                    known.committed = now

    async def _append(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        call: Any = self._upstream_channel().stream_stream(f"{SERVICE}AppendRows")()
        open_: list[Stream] = []
        met: deque[Fault] = deque()
        sending = asyncio.create_task(self._send(requests, call, open_, met))
        try:
            async for answer in call:
                fault = met.popleft() if met else None
                if fault and fault.kind == "grpc_slow":
                    await asyncio.sleep(fault.seconds)
                elif fault:
                    await context.abort(CODES[fault.kind], f"{fault.kind} by the test")
                yield answer
            code, details = await call.code(), await call.details()
            if code is not grpc.StatusCode.OK:
                if sending.done() and not sending.cancelled() and sending.result():
                    code, details = sending.result(), "refused by the test"
                await context.abort(code, details or "")
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
        finally:
            sending.cancel()
            call.cancel()
            for stream in open_:
                stream.open_call_count -= 1

    async def _send(
        self, requests: AsyncIterator[bytes], call: Any, open_: list[Stream], met: deque[Fault]
    ) -> grpc.StatusCode | None:
        """Pass requests on; return the code of a fault that ended the call before its request was."""
        stream: Stream | None = None
        async for request in requests:
            if stream is None:
                name = types.AppendRowsRequest.deserialize(request).write_stream
                stream = self.streams.setdefault(name, Stream(name=name, opened=self._now()))
                stream.open_call_count += 1
                open_.append(stream)
            fault = await self._meet("AppendRows", stream.name)
            if fault and fault.kind not in {"grpc_lost", "grpc_slow"}:
                call.cancel()
                return CODES[fault.kind]
            stream.last_append = self._now()
            if fault:
                met.append(fault)
            with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
                await call.write(request)
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            await call.done_writing()
        return None

"""A worker on a free port of this process, over a sink in memory, and what its callers see."""

import contextlib
import dataclasses
import datetime as dt
import threading
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from typing import Any

import grpc
from convergence.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from convergence.ingest.v1 import ingest_service_pb2 as pb
from convergence.ingest.v1 import ingest_service_pb2_grpc

from libs.common.app import Host, hosted
from libs.common.channel import open_channel
from libs.common.memory import Memory
from services.auth.tokens import SigningKey
from services.ingest.app import Settings, attach_sink
from services.ingest.sink import MemorySink
from tests.unit.ingest.asking import ingest_request

KEY = SigningKey.generate()
Metadata = tuple[tuple[str, str], ...]


def token(tenant: str = "acme", key: SigningKey = KEY, **claims: Any) -> Metadata:
    """Return the metadata of a call under an identity token of a tenant."""
    now = dt.datetime.now(dt.UTC).timestamp()
    plain = {
        "iss": "convergence-auth",
        "aud": ["ingest"],
        "sub": tenant,
        "iat": int(now),
        "exp": int(now) + 300,
    }
    return (("authorization", f"Bearer {key.sign(plain | claims)}"),)


class Keys(auth_service_pb2_grpc.AuthServiceServicer):
    """The part of auth that a worker asks."""

    async def ListSigningKeys(self, request: Any, context: Any) -> Any:
        listed = auth_service_pb2.SigningKey(key_id=KEY.key_id, public_key=KEY.public.raw)
        return auth_service_pb2.ListSigningKeysResponse(keys=[listed])

    async def Authenticate(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    async def IssueRunToken(self, request: Any, context: Any) -> Any:
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)


@dataclasses.dataclass(slots=True, kw_only=True)
class Served:
    """A running worker: its tenants' folders, its sink, and a stub."""

    root: Path
    sink: MemorySink
    waits: list[float]
    host: Host
    address: str
    channel: grpc.aio.Channel

    @property
    def stub(self) -> "ingest_service_pb2_grpc.IngestServiceAsyncStub":
        return ingest_service_pb2_grpc.IngestServiceStub(self.channel)

    def write(self, path: str, data: bytes | str, mode: int = 0o644) -> Path:
        """Write a file of tenant acme."""
        file = self.root / "acme" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data if isinstance(data, bytes) else data.encode())
        file.chmod(mode)
        return file

    async def plan(self, request: pb.PlanChunksRequest) -> pb.PlanChunksResponse:
        return await self.stub.PlanChunks(request, metadata=token(), timeout=60)

    def ingest(
        self, request: pb.IngestChunkRequest
    ) -> "grpc.aio.UnaryStreamCall[pb.IngestChunkRequest, pb.IngestChunkResponse]":
        return self.stub.IngestChunk(request, metadata=token(), timeout=60)

    async def events(self, request: pb.IngestChunkRequest) -> list[pb.IngestChunkResponse]:
        """Return all that a worker says of a chunk."""
        return [event async for event in self.ingest(request)]

    async def last(self, request: pb.IngestChunkRequest) -> pb.IngestChunkResponse:
        return (await self.events(request))[-1]

    def rows(self, stream: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.sink.finished[stream].to_pylist()
        return rows


@contextlib.asynccontextmanager
async def served(
    root: Path,
    *,
    sink: MemorySink | None = None,
    pause: Callable[[threading.Event, float], bool] | None = None,
    memory: Memory | None = None,
    **options: Any,
) -> AsyncGenerator[Served]:
    """Run a worker of two slots whose sources may reach this machine, and whose waits take no time."""
    into = sink or MemorySink()
    waits: list[float] = []
    (root / "acme").mkdir(parents=True, exist_ok=True)
    server = grpc.aio.server()
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(Keys(), server)
    auth = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    plain: dict[str, Any] = {
        "listen": "127.0.0.1:0",
        "auth": auth,
        "configs": root,
        "slots": 2,
        "allow_private_addresses": True,
    }
    settings = Settings(**(plain | options))

    def no_pause(cancelled: threading.Event, seconds: float) -> bool:
        waits.append(seconds)
        return cancelled.is_set()

    def attach(host: Host, given: Settings) -> contextlib.AbstractAsyncContextManager[None]:
        return attach_sink(host, given, into, pause=pause or no_pause, memory=memory)

    try:
        async with (
            hosted("ingest", settings, attach) as (host, address),
            open_channel(address) as channel,
        ):
            yield Served(
                root=root, sink=into, waits=waits, host=host, address=address, channel=channel
            )
    finally:
        await server.stop(None)


async def planned(
    worker: Served, request: pb.PlanChunksRequest, **fields: Any
) -> list[pb.IngestChunkRequest]:
    """Return a request for each chunk of a plan."""
    plan = await worker.plan(request)
    same = {"source": request.source, "columns": request.columns}
    return [ingest_request(chunk=part, **(same | fields)) for part in plan.chunks]


def kinds(events: Iterable[pb.IngestChunkResponse]) -> list[str]:
    """Return what each event is."""
    return [str(event.WhichOneof("event")) for event in events]

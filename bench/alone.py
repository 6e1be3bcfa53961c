"""A worker alone: the process as it is, asked over gRPC, its rows counted and thrown away.

Where a whole mesh would measure its slowest part, this one shows the worker's: how long a plan takes, and
what memory it needs for sources that the embedded BigQuery would take minutes to store.
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
import pyarrow as pa
from convergence.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from convergence.ingest.v1 import ingest_service_pb2 as pb
from convergence.ingest.v1 import ingest_service_pb2_grpc, source_pb2
from google.cloud.bigquery_storage_v1 import types

from bench.data import FOLDER, SCHEMA, Format, Source
from bench.tenants import TENANT
from libs.common.channel import open_channel
from libs.local.mesh.health import SERVING, check
from libs.local.mesh.identities import identity
from libs.local.mesh.plans import import_path
from libs.local.mesh.states import Process
from services.auth.tokens import SigningKey

WRITE: Final = "google.cloud.bigquery.storage.v1.BigQueryWrite"
UNLIMITED: Final = (("grpc.max_receive_message_length", -1),)
START_SECONDS: Final = 120.0
FORMATS: Final[dict[Format, int]] = {
    "csv": source_pb2.FILE_FORMAT_CSV,
    "ndjson": source_pb2.FILE_FORMAT_NDJSON,
    "parquet": source_pb2.FILE_FORMAT_PARQUET,
}


class ChunkFailed(Exception):
    """A chunk ended in a failure, or lost rows: there is nothing to measure."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker that serves, and how it is asked for the one file below its tenant's folder."""

    pid: int
    stub: "ingest_service_pb2_grpc.IngestServiceAsyncStub"
    key: SigningKey
    source: pb.PlanChunksRequest

    async def plan(self, chunk_bytes: int) -> pb.PlanChunksResponse:
        request = pb.PlanChunksRequest()
        request.CopyFrom(self.source)
        request.chunk_bytes = chunk_bytes
        return await self.stub.PlanChunks(request, metadata=self._token(), timeout=900)

    async def ingest_all(self, plan: pb.PlanChunksResponse, *, at_once: int = 2) -> int:
        """Let the worker read all chunks, so many at once, and return how many rows landed.

        Raises:
            ChunkFailed: One failed.
        """
        left = iter(plan.chunks)

        async def work() -> int:
            return sum([await self._ingest(chunk) for chunk in left])

        return sum(await asyncio.gather(*(work() for _ in range(at_once))))

    async def _ingest(self, chunk: Any) -> int:
        now = dt.datetime.now(dt.UTC)
        request = pb.IngestChunkRequest(
            run=f"tenants/{TENANT}/pipelines/alone/runs/alone",
            run_attempt=1,
            chunk_attempt=1,
            epoch=1,
            chunk=chunk,
            source=self.source.source,
            columns=self.source.columns,
            table=f"local.{TENANT}_raw_usage.alone",
            quarantine_table=f"local.{TENANT}_raw_usage.alone__quarantine",
            ingest_time=now,
            deadline=now + dt.timedelta(hours=2),
        )
        last = pb.IngestChunkResponse()
        async for said in self.stub.IngestChunk(request, metadata=self._token(), timeout=900):
            last = said
        if last.WhichOneof("event") != "result":
            raise ChunkFailed(f"{chunk.chunk_id}: {last.failure or last}")
        return last.result.landed_row_count

    def _token(self) -> tuple[tuple[str, str], ...]:
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": "convergence-auth", "aud": ["ingest"], "sub": TENANT, "iat": now, "exp": now + 300,
        }  # fmt: skip
        return (("authorization", f"Bearer {self.key.sign(claims)}"),)


@contextlib.asynccontextmanager
async def worker(file: Source, format_: Format) -> AsyncGenerator[Worker]:
    """Start a worker whose tenant has that one file; end it when the block ends."""
    folder = FOLDER / "alone"
    shutil.rmtree(folder, ignore_errors=True)
    data = folder / TENANT / "data"
    data.mkdir(parents=True)
    os.link(file.path, data / file.path.name)
    key, server = SigningKey.generate(), grpc.aio.server(options=UNLIMITED)
    auth_service_pb2_grpc.add_AuthServiceServicer_to_server(_Keys(key), server)
    server.add_generic_rpc_handlers([_counting_warehouse()])
    beside = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        async with _process(folder, beside) as (pid, address), open_channel(address) as channel:
            yield Worker(
                pid=pid,
                stub=ingest_service_pb2_grpc.IngestServiceStub(channel),
                key=key,
                source=_request(file, format_),
            )
    finally:
        await server.stop(None)
        shutil.rmtree(folder, ignore_errors=True)


def _request(file: Source, format_: Format) -> pb.PlanChunksRequest:
    source = source_pb2.Source(source_id="alone")
    source.file.path = f"data/{file.path.name}"
    source.file.format = FORMATS[format_]  # type: ignore[assignment]
    return pb.PlanChunksRequest(
        parent=f"tenants/{TENANT}/pipelines/alone",
        source=source,
        columns=[pb.Column(name=n, type=type_, mode="NULLABLE") for n, type_ in SCHEMA],
        spec_hash="alone",
    )


@contextlib.asynccontextmanager
async def _process(folder: Path, beside: str) -> AsyncGenerator[tuple[int, str]]:
    address = _free()
    prefix = "CONVERGENCE_INGEST_"
    settings = {
        "LISTEN": address,
        "AUTH": beside,
        "CONFIGS": str(folder),
        "BIGQUERY_ENDPOINT": f"http://{beside}",
        "BIGQUERY_STORAGE_ENDPOINT": beside,
    }
    own = {f"{prefix}{name}": value for name, value in settings.items()}
    process = _spawn(own)
    try:
        await _serving(process, address)
        yield process.pid, address
    finally:
        process.terminate()
        process.wait()


def _spawn(settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with (FOLDER / "alone.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "services.ingest"],
            stdout=log,
            stderr=log,
            env={**os.environ, **settings, "PYTHONPATH": import_path()},
        )


async def _serving(process: subprocess.Popen[bytes], address: str) -> None:
    who = Process(
        name="alone",
        addresses={"grpc": address},
        log=str(FOLDER / "alone.log"),
        phase="running",
        identity=identity(process.pid),
    )
    until = time.monotonic() + START_SECONDS
    while (await check([who]))["alone"] != SERVING:
        if process.poll() is not None or time.monotonic() > until:
            said = (FOLDER / "alone.log").read_text()[-300:]
            raise ChunkFailed(f"the worker does not serve: {said}")
        await asyncio.sleep(0.05)


def _free() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


class _Keys(auth_service_pb2_grpc.AuthServiceServicer):
    """The part of auth that a worker asks."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    async def ListSigningKeys(self, request: Any, context: Any) -> Any:
        del request, context
        listed = auth_service_pb2.SigningKey(
            key_id=self._key.key_id, public_key=self._key.public.raw
        )
        return auth_service_pb2.ListSigningKeysResponse(keys=[listed])

    async def Authenticate(self, request: Any, context: Any) -> Any:
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)

    async def IssueRunToken(self, request: Any, context: Any) -> Any:
        del request
        await context.abort(grpc.StatusCode.UNIMPLEMENTED)


def _counting_warehouse() -> grpc.GenericRpcHandler:
    """Return a Storage Write API that answers offsets and keeps the number of rows alone."""
    numbers, counts = itertools.count(1), dict[str, int]()

    async def create(request: Any, context: Any) -> Any:
        del context
        return types.WriteStream(
            name=f"{request.parent}/streams/{next(numbers)}", type_=types.WriteStream.Type.PENDING
        )

    async def append(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        del context
        stream, schema = "", pa.schema([])
        async for request in requests:
            stream = request.write_stream or stream
            if request.arrow_rows.writer_schema.serialized_schema:
                schema = pa.ipc.read_schema(
                    pa.py_buffer(request.arrow_rows.writer_schema.serialized_schema)
                )
            rows = request.arrow_rows.rows.serialized_record_batch
            offset = counts.get(stream, 0)
            counts[stream] = offset + pa.ipc.read_record_batch(pa.py_buffer(rows), schema).num_rows
            answer = types.AppendRowsResponse(write_stream=stream)
            answer.append_result = types.AppendRowsResponse.AppendResult(offset=offset)
            yield answer

    async def finalize(request: Any, context: Any) -> Any:
        del context
        return types.FinalizeWriteStreamResponse(row_count=counts.pop(request.name, 0))

    def served(handle: Callable[..., Any], make: Any, asked: Any, answered: Any) -> Any:
        read, written = asked.pb(), answered.pb()
        return make(
            handle,
            request_deserializer=read.FromString,
            response_serializer=lambda message: written.SerializeToString(answered.pb(message)),
        )

    unary, both = grpc.unary_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
    methods = {
        "CreateWriteStream": served(create, unary, types.CreateWriteStreamRequest, types.WriteStream),
        "AppendRows": served(append, both, types.AppendRowsRequest, types.AppendRowsResponse),
        "FinalizeWriteStream": served(
            finalize, unary, types.FinalizeWriteStreamRequest, types.FinalizeWriteStreamResponse
        ),
    }  # fmt: skip
    return grpc.method_handlers_generic_handler(WRITE, methods)

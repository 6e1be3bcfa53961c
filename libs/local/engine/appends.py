"""Append connections: as many as clients open, and an offset that counts stored rows only."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
from bqemulator.grpc_api import write_servicer
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.server import EmulatorServer
from bqemulator.streaming.write_stream import WriteStream, WriteStreamType

from libs.local.engine.commits import all_or_nothing

APPEND_CONNECTIONS = 256
STORED_AT_ONCE = (WriteStreamType.COMMITTED, WriteStreamType.DEFAULT)


def failed_append_keeps_offset() -> None:
    """Answer an append that fails in the database with an error, and leave the stream as it was.

    Stock moves the offset on and drops the connection: the retry is told ALREADY_EXISTS, and the
    rows are lost. A journal on a COMMITTED stream depends on this.
    """
    append = BigQueryWriteHandler._perform_append

    def perform(
        self: BigQueryWriteHandler, stream: WriteStream, rows: pa.Table, *args: int | None
    ) -> bytes:
        if stream.stream_type not in STORED_AT_ONCE:
            return bytes(append(self, stream, rows, *args))
        with stream.lock:
            try:
                with all_or_nothing(self, [stream]):
                    return bytes(append(self, stream, rows, *args))
            except Exception as error:
                text = f"the rows were not stored: {error}"
                return bytes(write_servicer._error_response(stream.name, text))

    BigQueryWriteHandler._perform_append = perform


def many_append_connections() -> None:
    """Give the servers APPEND_CONNECTIONS threads: each open append connection occupies one.

    Stock has as many as the processors and four; with all of them taken every call waits.
    """
    start = EmulatorServer.start

    async def start_with_threads(self: EmulatorServer) -> None:
        threads = ThreadPoolExecutor(APPEND_CONNECTIONS, thread_name_prefix="append")
        asyncio.get_running_loop().set_default_executor(threads)
        await start(self)

    EmulatorServer.start = start_with_threads

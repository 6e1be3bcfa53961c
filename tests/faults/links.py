"""TCP links between the mesh's processes, which can be cut, delayed and stalled."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

HOST: Final = "127.0.0.1"
CHUNK: Final = 64 * 1024

Upstream = Callable[[], str | None]
"""Says where a new connection goes: `host:port`, None for nowhere."""


class Link:
    """A listening port whose connections are carried to whatever `upstream` says when they come."""

    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self.refusing = False
        self.delay = 0.0
        """Seconds by which every piece is late."""
        self.address = ""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._carry, HOST, 0)
        self.address = f"{HOST}:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection; new ones are carried."""
        for writer in list(self._writers):
            writer.transport.abort()

    def stall(self) -> None:
        """Carry nothing, and keep the connections, until `flow`."""
        self._flows.clear()

    def flow(self) -> None:
        """Carry everything at once again."""
        self.refusing, self.delay = False, 0.0
        self._flows.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to = None if self.refusing else self._upstream()
        ways: set[asyncio.Task[None]] = set()
        self._writers.add(writer)
        try:
            if to is None:
                return
            host, _, port = to.rpartition(":")
            there, back = await asyncio.open_connection(host, int(port))
            self._writers.add(back)
            try:
                ways = {
                    asyncio.create_task(self._pump(reader, back)),
                    asyncio.create_task(self._pump(there, writer)),
                }
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._writers.discard(back)
                back.transport.abort()
        except OSError:
            return
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()

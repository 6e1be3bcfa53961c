"""One reading for all who ask at about the same time, and not too often."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

SPACING_SECONDS: Final = 2.0
"""Readings asked for by calls begin at least this far apart."""


class JoinedReading:
    """Runs `read` for callers that need a look at things as they are after they asked."""

    def __init__(
        self,
        read: Callable[[], Awaitable[None]],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._read = read
        self._clock = clock
        self._sleep = sleep
        self._began = float("-inf")
        self._next: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()

    async def wait(self) -> None:
        """Return after a reading that began after this call; a caller that gives up stops nobody else."""
        if self._next is None:
            self._next = asyncio.create_task(self._read_soon())
            self._running.add(self._next)
            self._next.add_done_callback(self._running.discard)
        await asyncio.shield(self._next)

    async def _read_soon(self) -> None:
        try:
            wait = self._began + SPACING_SECONDS - self._clock()
            if wait > 0:
                await self._sleep(wait)
        finally:
            self._next = None
        self._began = self._clock()
        await self._read()

    async def close(self) -> None:
        """Stop readings under way."""
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

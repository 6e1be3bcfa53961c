"""Counts what the mesh does, so that faults come after so many operations rather than at a time."""

import asyncio
import contextlib


class Odometer:
    """How many operations there have been: calls of clients and calls of BigQuery's ports."""

    def __init__(self) -> None:
        self.count = 0
        self._moved = asyncio.Condition()

    async def add(self) -> None:
        self.count += 1
        async with self._moved:
            self._moved.notify_all()

    async def reach(self, count: int, *, within: float) -> bool:
        """Wait until there have been `count` operations; return False when `within` seconds passed first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within), self._moved:
                await self._moved.wait_for(lambda: self.count >= count)
        return self.count >= count

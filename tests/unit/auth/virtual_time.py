"""A clock that moves only when something sleeps on it or a test says so."""

import asyncio
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 1, 12, tzinfo=UTC)


class VirtualTime:
    """`sleep` lets time pass at once, after everybody else had their turn."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 1000.0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        until = self.seconds + seconds
        for _ in range(5):
            await asyncio.sleep(0)
        self.seconds = max(self.seconds, until)

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds

"""How long a PENDING stream lives. Imports nothing of bqemulator."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable

OPEN_SECONDS = 24 * 3600
"""From its creation."""

SEALED_SECONDS = 4 * 3600
"""From its seal, if that is sooner."""

now: Callable[[], float] = time.monotonic
"""The clock of `Lifetimes` in a running engine; a test may put another in its place."""


class Lifetimes:
    """When each stream ends; thread-safe. To look costs as much as has ended, not as much as lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[str, float] = {}
        self._next: list[tuple[float, str]] = []
        """A heap of ends; one that is not the stream's in `_ends` was overtaken by a sooner one."""

    def opened(self, stream: str) -> None:
        """Let `stream` live for OPEN_SECONDS."""
        with self._lock:
            self._end(stream, now() + OPEN_SECONDS)

    def sealed(self, stream: str) -> None:
        """Let `stream`, if it is known, live for SEALED_SECONDS at most; a repeat changes nothing."""
        with self._lock:
            end = now() + SEALED_SECONDS
            if end < self._ends.get(stream, end):
                self._end(stream, end)

    def overdue(self) -> list[str]:
        """Return the streams that have ended, once."""
        ended = []
        with self._lock:
            while self._next and self._next[0][0] <= now():
                end, stream = heapq.heappop(self._next)
                if self._ends.get(stream) == end:
                    del self._ends[stream]
                    ended.append(stream)
        return ended

    def _end(self, stream: str, end: float) -> None:
        self._ends[stream] = end
        heapq.heappush(self._next, (end, stream))

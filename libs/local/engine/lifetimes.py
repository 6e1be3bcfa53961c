"""How long a PENDING stream lives. Imports nothing of bqemulator."""

from __future__ import annotations

import time
from collections.abc import Callable

OPEN_SECONDS = 24 * 3600
"""From its creation."""

SEALED_SECONDS = 4 * 3600
"""From its seal, if that is sooner."""

now: Callable[[], float] = time.monotonic
"""The clock of `Lifetimes` in a running engine; a test may put another in its place."""


class Lifetimes:
    """When each stream ends. Any thread, one at a time for each name."""

    def __init__(self) -> None:
        self._ends: dict[str, float] = {}

    def opened(self, stream: str) -> None:
        """Let `stream` live for OPEN_SECONDS."""
        self._ends[stream] = now() + OPEN_SECONDS

    def sealed(self, stream: str) -> None:
        """Let `stream`, if it is known, live for SEALED_SECONDS at most; a repeat changes nothing."""
        end = self._ends.get(stream)
        if end is not None:
            self._ends[stream] = min(end, now() + SEALED_SECONDS)

    def overdue(self) -> list[str]:
        """Return the streams that have ended, once."""
        ended = [stream for stream, end in list(self._ends.items()) if end <= now()]
        for stream in ended:
            self._ends.pop(stream, None)
        return ended

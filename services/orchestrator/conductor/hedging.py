"""Which chunk of a run is so slow that a second try beside it is worth a slot, and which of two wins."""

import asyncio
import bisect
from typing import Final

from libs.common.errors import Delayed
from services.orchestrator.runs.records import Landed
from services.orchestrator.workers.workers import ChunkFailed, WorkerGone

FACTOR: Final = 3.0
"""A chunk is slow when it takes so many times what the median of its run does."""

LEAST_SECONDS: Final = 5.0
"""No chunk is slow before."""

LEAST_FINISHED: Final = 3
"""Chunks of a run before there is a median."""

LEAST_BYTES: Final = 1024 * 1024
"""Smaller chunks take as long as one of this size: it is not their bytes that takes time."""

SHARE: Final = 0.05
"""Most hedges of a run, of its chunks; one is always allowed."""


class Pace:
    """How long chunks of a run have taken for their size, and how many were hedged."""

    def __init__(self, chunk_count: int) -> None:
        self._rates: list[float] = []
        self._left = max(1, int(chunk_count * SHARE))

    def finished(self, seconds: float, size_bytes: int) -> None:
        """Note that a chunk was done."""
        bisect.insort(self._rates, seconds / max(size_bytes, LEAST_BYTES))

    def slow(self, seconds: float, size_bytes: int) -> bool:
        """Return whether a chunk that has run for `seconds` is slow."""
        if len(self._rates) < LEAST_FINISHED:
            return False
        median = self._rates[len(self._rates) // 2] * max(size_bytes, LEAST_BYTES)
        return seconds >= max(LEAST_SECONDS, FACTOR * median)

    def take(self) -> bool:
        """Take one of the hedges that the run may have; return whether there was one."""
        if not self._left:
            return False
        self._left -= 1
        return True


Done = tuple[Landed, str]
"""What a try has brought, and the address of its worker."""


async def winner(
    first: "asyncio.Task[Done]", hedge: "asyncio.Task[Done | None]", begun: asyncio.Event
) -> Done:
    """Return the first result of two. Only the first try fails: a hedge that does is forgotten.

    Nobody waits for a hedge that has not `begun`: it may be waiting for what the first try holds.
    """
    await asyncio.wait({first, hedge}, return_when=asyncio.FIRST_COMPLETED)
    if first.done() and not (begun.is_set() and _passed(first)):
        return first.result()
    return await hedge or await first


def _passed(task: "asyncio.Task[Done]") -> bool:
    """Return whether a try has failed in a way that another one may not."""
    error = task.exception()
    return isinstance(error, WorkerGone | Delayed) or (
        isinstance(error, ChunkFailed) and error.transient
    )

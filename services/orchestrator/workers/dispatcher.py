"""Places work: the worker with the fewest chunks in flight and room for another."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Final

from libs.common.errors import Unavailable
from services.orchestrator.workers.workers import Worker

REST_SECONDS: Final = 1.0
"""How long a worker that refused or died is left alone."""


class NoWorker(Unavailable):
    """No worker can be reached."""

    reason = "NO_WORKER"


@dataclasses.dataclass(slots=True, eq=False)
class Seat:
    """What is known of one worker."""

    worker: Worker
    slot_count: int = 1
    busy: int = 0
    rest_until: float = 0.0


class Dispatcher:
    """Hands out seats at workers, first come first served among waiting chunks."""

    def __init__(
        self,
        workers: Sequence[Worker],
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Coroutine[None, None, None]],
    ) -> None:
        self._seats = [Seat(worker) for worker in workers]
        self._monotonic = monotonic
        self._sleep = sleep
        self._freed = asyncio.Event()
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def seat(self, *, avoid: frozenset[str] = frozenset()) -> AsyncGenerator[Seat]:
        """Wait for a free slot; workers in `avoid` (addresses) only if there is no other."""
        async with self._turn:
            while (seat := self._best(avoid) or self._best(frozenset())) is None:
                await self._something_changes()
            seat.busy += 1
        try:
            yield seat
        finally:
            seat.busy -= 1
            self._freed.set()

    async def _something_changes(self) -> None:
        """Wait until a slot is given back, or long enough for a worker to have rested."""
        self._freed.clear()
        waits = {
            asyncio.create_task(self._freed.wait()),
            asyncio.create_task(self._sleep(REST_SECONDS / 4)),
        }
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _best(self, avoid: frozenset[str]) -> Seat | None:
        now = self._monotonic()
        free = [
            seat
            for seat in self._seats
            if seat.busy < seat.slot_count
            and seat.rest_until <= now
            and seat.worker.address not in avoid
        ]
        return min(free, key=lambda seat: seat.busy / seat.slot_count, default=None)

    def rest(self, seat: Seat) -> None:
        """Leave a worker alone for a moment: it refused, fell silent or died."""
        seat.rest_until = self._monotonic() + REST_SECONDS
        seat.slot_count = 1

    def any(self) -> Worker:
        """Return the worker that plans next: the least busy one that is not resting."""
        now = self._monotonic()
        awake = [seat for seat in self._seats if seat.rest_until <= now] or self._seats
        if not awake:
            raise NoWorker("no worker is configured; set CONVERGENCE_ORCHESTRATOR_WORKERS")
        return min(awake, key=lambda seat: seat.busy).worker

    def others(self, than: Worker) -> list[Worker]:
        """Return the other workers, for a second try."""
        return [seat.worker for seat in self._seats if seat.worker is not than]

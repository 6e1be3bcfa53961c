"""Places work: a free slot goes to the chunk whose turn it is, at the worker with the fewest in flight."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Final

import structlog

from libs.common.errors import Unavailable
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.records import Share
from services.orchestrator.workers.accounts import Accounts
from services.orchestrator.workers.fair_queue import FairQueue, Standing, Ticket
from services.orchestrator.workers.stream_pace import StreamPace
from services.orchestrator.workers.workers import Worker

log = structlog.get_logger()

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
    draining: bool = False
    """Whether it takes nothing new, since it is being taken away or is not ready."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Occupancy:
    """How a worker stands. Who rests or drains takes no new chunk, whatever is free."""

    address: str
    slot_count: int
    busy: int
    resting: bool
    draining: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """How many streams may be opened in an hour, and at once; 0 an hour is no bound."""

    per_hour: int
    ready_count: int
    wait_seconds: float
    """Until the next one may be."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class _Waiter(Ticket):
    """A chunk, the addresses that it would rather not go to, and the seat that it is given.

    came, turn: How many slots had been given when it came to wait, and with its own.
    """

    avoid: frozenset[str]
    given: asyncio.Future[Seat]
    came: int
    turn: int = 0
    waited: float = 0.0


class Dispatcher:
    """Hands out seats at workers in the order of a FairQueue; a free slot wakes who gets it, nobody else."""

    def __init__(
        self,
        workers: Sequence[Worker] = (),
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Coroutine[None, None, None]],
        streams_per_hour: int = 0,
    ) -> None:
        self._seats = [Seat(worker) for worker in workers]
        self._monotonic = monotonic
        self._sleep = sleep
        self._queue: FairQueue[_Waiter] = FairQueue()
        self._pace = StreamPace(per_hour=streams_per_hour)
        self.accounts = Accounts(sleep)
        """What providers take from the accounts that chunks are read with."""
        self._serving = False
        self._turns = 0
        """Slots that were given."""
        self._rest: asyncio.Task[None] | None = None
        """Waits until a worker has rested, or a stream may be opened, that somebody waits for."""

    def join(self, worker: Worker) -> None:
        """Hand out the slots of a worker that has come: one, until it says how many it has."""
        self._seats.append(Seat(worker))
        self._serve_soon()

    def drain(self, worker: Worker, draining: bool) -> None:
        """Give a worker nothing new while it drains; what it has goes on."""
        seat = self._seat_of(worker)
        if seat.draining != draining:
            seat.draining = draining
            self._serve_soon()

    def leave(self, worker: Worker) -> None:
        """Forget a worker that is gone; whoever has a seat there gives it back as always."""
        self._seats.remove(self._seat_of(worker))

    def _seat_of(self, worker: Worker) -> Seat:
        return next(seat for seat in self._seats if seat.worker is worker)

    @contextlib.asynccontextmanager
    async def seat(
        self,
        tenant: str,
        *,
        lane: Lane = Lane.INTERACTIVE,
        order: tuple[int, ...],
        share: Share,
        avoid: frozenset[str] = frozenset(),
    ) -> AsyncGenerator[Seat]:
        """Wait for a free slot and for a stream that may be opened; have the slot for the block.

        Args:
            tenant: Whose chunk it is.
            lane: In which of the tenant's lanes it waits.
            order: The least goes first among the chunks of the lane.
            share: What the tenant may have of the slots, from here on.
            avoid: Addresses of workers that are taken only if no other has a free slot.
        """
        waiter = _Waiter(
            tenant=tenant,
            lane=lane,
            order=order,
            since=self._monotonic(),
            avoid=avoid,
            given=asyncio.get_running_loop().create_future(),
            came=self._turns,
        )
        self._queue.join(waiter, share)
        self._serve_soon()
        try:
            seat = await waiter.given
            log.info(
                "chunk.placed",
                tenant_id=tenant,
                worker=seat.worker.address,
                turn=waiter.turn,
                came=waiter.came,
                waited_ms=round(waiter.waited * 1000, 2),
            )
            yield seat
        finally:
            if waiter.given.done() and not waiter.given.cancelled():
                waiter.given.result().busy -= 1
                self._queue.give_back(waiter)
                self._serve_soon()
            else:
                waiter.given.cancel()
                self._queue.leave(waiter)

    def _serve_soon(self) -> None:
        """Serve when whoever runs now, and whom it wakes, have come to wait for something.

        So a run that works on one chunk at a time waits for its next one before the slot of its last
        one goes to somebody else, and keeps its turn.
        """
        if not self._serving:
            self._serving = True
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._serve)

    def _serve(self) -> None:
        self._serving = False
        while (free := self._best(frozenset())) and (waiter := self._queue.first()):
            if waiter.given.cancelled():
                self._queue.leave(waiter)
                continue
            if self._pace.wait(self._monotonic()):
                break
            self._pace.opened(self._monotonic())
            seat = self._best(waiter.avoid) or free
            self._queue.take(waiter)
            seat.busy += 1
            self._turns += 1
            waiter.turn, waiter.waited = self._turns, self._monotonic() - waiter.since
            waiter.given.set_result(seat)
        self._serve_later()

    def _serve_later(self) -> None:
        """Serve again when a worker has rested and a stream may be opened, if somebody waits for it."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        now = self._monotonic()
        rests = [
            seat.rest_until - now
            for seat in self._seats
            if seat.busy < seat.slot_count and not seat.draining
        ]
        if rests and self._queue.first():
            seconds = max(min(rests), self._pace.wait(now))
            self._rest = asyncio.create_task(self._serve_in(seconds), name="rest")

    async def _serve_in(self, seconds: float) -> None:
        await self._sleep(seconds)
        self._rest = None
        self._serve()

    def _best(self, avoid: frozenset[str]) -> Seat | None:
        now = self._monotonic()
        free = [
            seat
            for seat in self._seats
            if seat.busy < seat.slot_count
            and not seat.draining
            and seat.rest_until <= now
            and seat.worker.address not in avoid
        ]
        return min(free, key=lambda seat: seat.busy / seat.slot_count, default=None)

    def limit(self, tenant: str, share: Share) -> None:
        """Let a tenant have this share of the slots from here on; no slot is taken away by that."""
        self._queue.limit(tenant, share)
        self._serve_soon()

    def resize(self, seat: Seat, slot_count: int) -> None:
        """Note how many chunks a worker says that it takes at once."""
        if seat.slot_count != slot_count:
            seat.slot_count = slot_count
            self._serve_soon()

    def rest(self, seat: Seat) -> None:
        """Leave a worker alone for a moment: it refused, fell silent or died."""
        seat.rest_until = self._monotonic() + REST_SECONDS
        seat.slot_count = 1

    def spare(self, tenant: str, *, avoid: frozenset[str]) -> bool:
        """Return whether a slot is idle at a worker not in `avoid` that a tenant may have at once."""
        idle = self._best(avoid) is not None and not self._pace.wait(self._monotonic())
        return idle and self._queue.idle_for(tenant)

    def stream_opened(self, *, seconds_ago: float = 0.0) -> None:
        """Note a stream that no seat was given for, or, oldest first, one of an earlier orchestrator."""
        self._pace.opened(self._monotonic() - seconds_ago)

    def stream_unopened(self) -> None:
        """Note that a seat that was given, and still is had, came to no stream."""
        self._pace.unopened()

    def streams(self) -> Streams:
        """Return how many streams may be opened."""
        now = self._monotonic()
        wait, per_hour = self._pace.wait(now), self._pace.per_hour
        return Streams(per_hour=per_hour, ready_count=self._pace.left(now), wait_seconds=wait)

    def any(self) -> Worker:
        """Return the worker that plans next: the least busy one that is not resting."""
        now = self._monotonic()
        ready = [seat for seat in self._seats if not seat.draining]
        awake = [seat for seat in ready if seat.rest_until <= now] or ready
        if not awake:
            raise NoWorker(
                f"none of {len(self._seats)} workers takes work: check that pods of the workers are "
                "ready, and what CONVERGENCE_ORCHESTRATOR_WORKERS names"
            )
        return min(awake, key=lambda seat: seat.busy).worker

    def others(self, than: Worker) -> list[Worker]:
        """Return the other workers that take work, for a second try."""
        return [s.worker for s in self._seats if s.worker is not than and not s.draining]

    def tenants(self) -> list[Standing]:
        """Return the tenants that have slots or wait for one, by id."""
        return self._queue.standings(self._monotonic())

    def workers(self) -> list[Occupancy]:
        """Return how the workers stand, in the order in which they came."""
        now = self._monotonic()
        return [
            Occupancy(
                address=seat.worker.address,
                slot_count=seat.slot_count,
                busy=seat.busy,
                resting=seat.rest_until > now,
                draining=seat.draining,
            )
            for seat in self._seats
        ]

"""Whose chunk gets the next free slot: tenants take turns by weight, a tenant's chunks go by age."""

import dataclasses
import heapq
import itertools
from typing import Final, Generic, TypeVar

from services.orchestrator.runs.records import Share

MOST_GONE: Final = 64
"""Chunks that no longer wait may stay in a tenant's heap up to so many beyond those that do."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Ticket:
    """A chunk that waits for a slot."""

    tenant: str
    order: tuple[int, ...]
    """The least goes first among the chunks of its tenant."""
    since: float
    """When it began to wait, in seconds of the clock that `FairQueue.standings` is asked with."""


T = TypeVar("T", bound=Ticket)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a tenant has of the slots, and what of its chunks waits for one."""

    tenant: str
    slot_count: int = 0
    waiting_count: int = 0
    wait_seconds: float | None = None
    """How long the chunk waits that has waited longest; None where none waits."""


class _Line(Generic[T]):
    """One tenant. Chunks that left stay in the heap until they are met or become the most of it."""

    def __init__(self) -> None:
        self.share = Share()
        self.slot_count = 0
        self.served = 0
        self.waiting: dict[T, None] = {}
        self.heap: list[tuple[tuple[int, ...], int, T]] = []

    @property
    def capped(self) -> bool:
        return 0 < self.share.chunk_count <= self.slot_count

    @property
    def turn(self) -> tuple[float, int]:
        """The least of all lines goes first."""
        return self.slot_count / self.share.slot_weight, self.served

    def first(self) -> T:
        while (ticket := self.heap[0][-1]) not in self.waiting:
            heapq.heappop(self.heap)
        return ticket

    def remove(self, ticket: T) -> None:
        del self.waiting[ticket]
        if len(self.heap) > 2 * len(self.waiting) + MOST_GONE:
            self.heap = [entry for entry in self.heap if entry[-1] in self.waiting]
            heapq.heapify(self.heap)


class FairQueue(Generic[T]):
    """Chunks of tenants that wait for slots, and the slots that tenants have.

    The next slot goes to the waiting tenant below its cap that has the fewest slots for its weight;
    of those that have equally few, to the one that was served longest ago. So a tenant waits for its
    turn among tenants, never among the chunks of another. Finding it costs a look at each tenant
    that waits, however many chunks do.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line[T]] = {}
        self._waiting: dict[str, _Line[T]] = {}
        self._joined = itertools.count()
        self._served = itertools.count(1)

    def join(self, ticket: T, share: Share) -> None:
        """Let a chunk wait; from here on its tenant has this share. No slot is taken away by that."""
        line = self._lines.setdefault(ticket.tenant, _Line())
        line.share = share
        line.waiting[ticket] = None
        heapq.heappush(line.heap, (ticket.order, next(self._joined), ticket))
        self._waiting[ticket.tenant] = line

    def leave(self, ticket: T) -> None:
        """Let a chunk wait no longer; nothing happens if it does not wait."""
        line = self._lines[ticket.tenant]
        if ticket not in line.waiting:
            return
        line.remove(ticket)
        if not line.waiting:
            del self._waiting[ticket.tenant]

    def first(self) -> T | None:
        """Return the chunk whose turn it is; None if nobody waits who may have a slot."""
        lines = [line for line in self._waiting.values() if not line.capped]
        return min(lines, key=lambda line: line.turn).first() if lines else None

    def take(self, ticket: T) -> None:
        """Give a waiting chunk a slot."""
        self.leave(ticket)
        line = self._lines[ticket.tenant]
        line.slot_count += 1
        line.served = next(self._served)

    def give_back(self, ticket: T) -> None:
        """Take back the slot that a chunk had."""
        self._lines[ticket.tenant].slot_count -= 1

    def standings(self, now: float) -> list[Standing]:
        """Return the tenants that have slots or wait, by id."""
        return [
            Standing(
                tenant=tenant,
                slot_count=line.slot_count,
                waiting_count=len(line.waiting),
                wait_seconds=now - next(iter(line.waiting)).since if line.waiting else None,
            )
            for tenant, line in sorted(self._lines.items())
            if line.slot_count or line.waiting
        ]

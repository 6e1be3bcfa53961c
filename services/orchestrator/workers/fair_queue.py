"""Whose chunk gets the next free slot: tenants take turns by weight, a tenant's chunks by lane and age."""

import dataclasses
import itertools
from collections import Counter
from typing import Generic, TypeVar

from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.records import Share
from services.orchestrator.workers.lane_queue import LaneQueue


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Ticket:
    """A chunk that waits for a slot."""

    tenant: str
    lane: Lane = Lane.INTERACTIVE
    order: tuple[int, ...]
    """The least goes first among the chunks of its tenant and lane."""
    since: float
    """When it began to wait, in seconds of the clock that `FairQueue.standings` is asked with."""


T = TypeVar("T", bound=Ticket)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LaneStanding:
    """What the chunks of one lane of a tenant have, and how many of them wait."""

    lane: Lane
    slot_count: int = 0
    waiting_count: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a tenant has of the slots, and what of its chunks waits for one."""

    tenant: str
    lanes: tuple[LaneStanding, ...] = tuple(LaneStanding(lane=lane) for lane in Lane)
    """One for each lane, the most urgent first."""
    wait_seconds: float | None = None
    """How long the chunk waits that has waited longest; None where none waits."""

    @property
    def slot_count(self) -> int:
        return sum(lane.slot_count for lane in self.lanes)

    @property
    def waiting_count(self) -> int:
        return sum(lane.waiting_count for lane in self.lanes)


class _Line(Generic[T]):
    """One tenant."""

    def __init__(self) -> None:
        self.share = Share()
        self.slots: Counter[Lane] = Counter()
        self.served = 0
        self.queue: LaneQueue[T] = LaneQueue()

    @property
    def slot_count(self) -> int:
        return self.slots.total()

    @property
    def capped(self) -> bool:
        return 0 < self.share.chunk_count <= self.slot_count

    @property
    def turn(self) -> tuple[float, int]:
        """The least of all lines goes first."""
        return self.slot_count / self.share.slot_weight, self.served

    def standing(self, tenant: str, now: float) -> Standing:
        lanes = (
            LaneStanding(
                lane=lane, slot_count=self.slots[lane], waiting_count=self.queue.count(lane)
            )
            for lane in Lane
        )
        oldest = min((ticket.since for ticket in self.queue.oldest()), default=None)
        waited = None if oldest is None else now - oldest
        return Standing(tenant=tenant, lanes=tuple(lanes), wait_seconds=waited)


class FairQueue(Generic[T]):
    """Chunks of tenants that wait for slots, and the slots that tenants have.

    The next slot goes to the waiting tenant below its cap that has the fewest slots for its weight;
    of those that have equally few, to the one that was served longest ago. So a tenant waits for its
    turn among tenants, never among the chunks of another. Finding it costs a look at each tenant
    that waits, however many chunks do. Which of the tenant's chunks gets it, its LaneQueue says:
    lanes change nothing between tenants.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line[T]] = {}
        self._waiting: dict[str, _Line[T]] = {}
        self._served = itertools.count(1)

    def join(self, ticket: T, share: Share) -> None:
        """Let a chunk wait; from here on its tenant has this share. No slot is taken away by that."""
        line = self._lines.setdefault(ticket.tenant, _Line())
        line.share = share
        line.queue.join(ticket)
        self._waiting[ticket.tenant] = line

    def limit(self, tenant: str, share: Share) -> None:
        """Let a tenant have this share from here on; nothing happens if it never had a chunk."""
        if line := self._lines.get(tenant):
            line.share = share

    def leave(self, ticket: T) -> None:
        """Let a chunk wait no longer; nothing happens if it does not wait."""
        line = self._lines[ticket.tenant]
        if ticket in line.queue:
            line.queue.leave(ticket)
            self._settle(ticket.tenant)

    def first(self) -> T | None:
        """Return the chunk whose turn it is; None if nobody waits who may have a slot."""
        lines = [line for line in self._waiting.values() if not line.capped]
        return min(lines, key=lambda line: line.turn).queue.first() if lines else None

    def idle_for(self, tenant: str) -> bool:
        """Return whether a chunk of a tenant that joined now would be the first, and below its cap."""
        line = self._lines.get(tenant)
        return self.first() is None and not (line and line.capped)

    def take(self, ticket: T) -> None:
        """Give a waiting chunk a slot."""
        line = self._lines[ticket.tenant]
        line.queue.take(ticket)
        self._settle(ticket.tenant)
        line.slots[ticket.lane] += 1
        line.served = next(self._served)

    def _settle(self, tenant: str) -> None:
        if not self._lines[tenant].queue:
            del self._waiting[tenant]

    def give_back(self, ticket: T) -> None:
        """Take back the slot that a chunk had."""
        self._lines[ticket.tenant].slots[ticket.lane] -= 1

    def standings(self, now: float) -> list[Standing]:
        """Return the tenants that have slots or wait, by id."""
        return [
            line.standing(tenant, now)
            for tenant, line in sorted(self._lines.items())
            if line.slot_count or line.queue
        ]

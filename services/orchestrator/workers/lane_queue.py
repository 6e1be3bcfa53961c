"""What of one tenant goes next: lanes take turns by weight, within a lane the least order goes first."""

import heapq
import itertools
from collections.abc import Collection
from typing import Final, Generic, Protocol, TypeVar

from services.orchestrator.runs.lanes import WEIGHTS, Lane

MOST_GONE: Final = 64
"""Tickets that no longer wait may stay in a lane's heap up to so many beyond those that do."""


class Waiting(Protocol):
    """Something that waits: hashed by identity, for two may have the same order."""

    @property
    def lane(self) -> Lane: ...

    @property
    def order(self) -> tuple[int, ...]: ...


T = TypeVar("T", bound=Waiting)


class _Lane(Generic[T]):
    """One lane. Tickets that left stay in the heap until they are met or become the most of it."""

    def __init__(self) -> None:
        self.start = 0.0
        """When its next turn begins, in turns of a lane of weight 1."""
        self.finish = 0.0
        """When its last turn was over."""
        self.waiting: dict[T, None] = {}
        self.heap: list[tuple[tuple[int, ...], int, T]] = []

    def first(self) -> T:
        while (ticket := self.heap[0][-1]) not in self.waiting:
            heapq.heappop(self.heap)
        return ticket

    def remove(self, ticket: T) -> None:
        del self.waiting[ticket]
        if len(self.heap) > 2 * len(self.waiting) + MOST_GONE:
            self.heap = [entry for entry in self.heap if entry[-1] in self.waiting]
            heapq.heapify(self.heap)


class LaneQueue(Generic[T]):
    """Tickets of one tenant in lanes.

    While lanes wait, each has turns by its weight, whatever the number of slots: start-time fair
    queueing. A lane that comes to wait goes before those that have had turns since it last did,
    and of equals the most urgent goes first: so a run that somebody asks for goes next, and a
    backfill is never stopped by others. Turns that a lane did not want are not kept for it.

    Source: Goyal, Vin, Cheng, "Start-time fair queueing", SIGCOMM 1996.
    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, _Lane[T]] = {lane: _Lane() for lane in Lane}
        self._joined = itertools.count()
        self._now = 0.0
        """When the turn began that was given last."""

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._lanes.values())

    def __contains__(self, ticket: T) -> bool:
        return ticket in self._lanes[ticket.lane].waiting

    def join(self, ticket: T) -> None:
        """Let a ticket wait."""
        lane = self._lanes[ticket.lane]
        if not lane.waiting:
            lane.start = max(self._now, lane.finish)
        lane.waiting[ticket] = None
        heapq.heappush(lane.heap, (ticket.order, next(self._joined), ticket))

    def leave(self, ticket: T) -> None:
        """Let a ticket wait no longer, without a turn."""
        self._lanes[ticket.lane].remove(ticket)

    def take(self, ticket: T) -> None:
        """Give a ticket that waits its lane's turn."""
        lane = self._lanes[ticket.lane]
        lane.remove(ticket)
        self._now = lane.start
        lane.finish = lane.start = lane.start + 1 / WEIGHTS[ticket.lane]

    def first(self, lanes: Collection[Lane] = tuple(Lane)) -> T | None:
        """Return the ticket whose turn it is among some lanes; None if none of them waits."""
        waiting = [line for lane, line in self._lanes.items() if line.waiting and lane in lanes]
        return min(waiting, key=lambda line: line.start).first() if waiting else None

    def count(self, lane: Lane) -> int:
        """Return how many tickets of a lane wait."""
        return len(self._lanes[lane].waiting)

    def ahead(self, ticket: T) -> int:
        """Return how many tickets of its lane go before one that waits."""
        return sum(other.order < ticket.order for other in self._lanes[ticket.lane].waiting)

    def oldest(self) -> list[T]:
        """Return of each lane the ticket that waits longest."""
        return [next(iter(lane.waiting)) for lane in self._lanes.values() if lane.waiting]

"""Slots go to tenants by weight and to chunks by age; caps hold, nobody starves, nothing stays free."""

import dataclasses
import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.records import Share
from services.orchestrator.workers.fair_queue import FairQueue, LaneStanding, Standing, Ticket

TENANTS = ("acme", "bolt", "cone", "dune")
SHARES = (
    Share(),
    Share(slot_weight=2),
    Share(slot_weight=0.5, chunk_count=3),
    Share(chunk_count=1),
)
EVEN = Share()


def ticket(tenant: str, *order: int, since: float = 0.0) -> Ticket:
    return Ticket(tenant=tenant, order=order, since=since)


def standing(tenant: str, slots: int, waiting: int, wait_seconds: float | None = None) -> Standing:
    """How a tenant stands that has chunks in the first lane only."""
    first = LaneStanding(lane=Lane.INTERACTIVE, slot_count=slots, waiting_count=waiting)
    others = (LaneStanding(lane=lane) for lane in Lane if lane is not Lane.INTERACTIVE)
    return Standing(tenant=tenant, lanes=(first, *others), wait_seconds=wait_seconds)


@dataclasses.dataclass(slots=True)
class Story:
    """Chunks that come, leave and end at a queue, beside lists that say what should be."""

    queue: FairQueue[Ticket] = dataclasses.field(default_factory=FairQueue)
    slots: int = 2
    waiting: list[Ticket] = dataclasses.field(default_factory=list)
    held: list[Ticket] = dataclasses.field(default_factory=list)
    wanted: dict[str, Share] = dataclasses.field(
        default_factory=lambda: dict(zip(TENANTS, SHARES, strict=True))
    )
    shares: dict[str, Share] = dataclasses.field(default_factory=dict)
    served: dict[str, int] = dataclasses.field(default_factory=dict)
    passed: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """Who was served while a tenant waited and had no slot."""

    def count(self, tenant: str) -> int:
        return sum(one.tenant == tenant for one in self.held)

    def turn(self, tenant: str) -> tuple[float, int]:
        return self.count(tenant) / self.shares[tenant].slot_weight, self.served.get(tenant, 0)

    def able(self) -> set[str]:
        """Tenants that wait and are below their cap."""
        waiting = {one.tenant for one in self.waiting}
        return {
            tenant
            for tenant in waiting
            if self.count(tenant) < (self.shares[tenant].chunk_count or math.inf)
        }

    def step(self, what: str, x: int, y: int) -> None:
        tenant = TENANTS[x % len(TENANTS)]
        match what:
            case "join":
                self.shares[tenant] = self.wanted[tenant]
                self.waiting.append(ticket(tenant, y % 3, x % 5))
                self.queue.join(self.waiting[-1], self.shares[tenant])
            case "leave" if self.waiting:
                self.queue.leave(self.waiting.pop(x % len(self.waiting)))
            case "end" if self.held:
                self.queue.give_back(self.held.pop(x % len(self.held)))
            case "share":
                self.wanted[tenant] = SHARES[y % len(SHARES)]
            case "slots":
                self.slots = y % 8
        self.serve()

    def serve(self) -> None:
        while len(self.held) < self.slots and (one := self.queue.first()):
            self.judge(one)
            self.queue.take(one)
            self.waiting.remove(one)
            self.held.append(one)
            self.served[one.tenant] = max(self.served.values(), default=0) + 1
        assert len(self.held) >= self.slots or not self.able()

    def judge(self, one: Ticket) -> None:
        """Fail unless it is this chunk's turn."""
        assert one.tenant in self.able()
        assert self.turn(one.tenant) == min(map(self.turn, self.able()))
        mine = [other.order for other in self.waiting if other.tenant == one.tenant]
        first = next(o for o in self.waiting if o.tenant == one.tenant and o.order == min(mine))
        assert one is first
        for tenant in self.able() - {one.tenant}:
            if not self.count(tenant):
                passed = self.passed.setdefault(tenant, [])
                assert one.tenant not in passed
                passed.append(one.tenant)
        self.passed.pop(one.tenant, None)

    def check(self) -> None:
        """Fail unless the queue says of every tenant what the lists do."""
        assert self.queue.standings(1.0) == [
            standing(
                tenant,
                self.count(tenant),
                waiting := sum(one.tenant == tenant for one in self.waiting),
                1.0 if waiting else None,
            )
            for tenant in TENANTS
            if any(one.tenant == tenant for one in (*self.held, *self.waiting))
        ]


STEPS = st.tuples(
    st.sampled_from(("join", "join", "join", "end", "end", "leave", "share", "slots")),
    st.integers(0, 99),
    st.integers(0, 99),
)


@given(st.lists(STEPS, max_size=60))
@settings(max_examples=150)
def test_each_slot_goes_to_the_tenant_and_chunk_whose_turn_it_is_and_none_stays_free(
    steps: list[tuple[str, int, int]],
) -> None:
    story = Story()
    for step in steps:
        story.step(*step)
        story.check()


@given(
    weights=st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=4),
    slots=st.integers(1, 12),
    ends=st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=4), max_size=30),
)
@settings(max_examples=100)
def test_while_tenants_wait_none_is_more_than_one_slot_for_its_weight_ahead_of_another(
    weights: list[float], slots: int, ends: list[list[int]]
) -> None:
    queue, held = FairQueue[Ticket](), list[Ticket]()
    named = dict(zip(TENANTS, weights, strict=False))
    for tenant, weight in named.items():
        for number in range(150):
            queue.join(ticket(tenant, number), Share(slot_weight=weight))
    for ended in [[], *ends]:
        for number in ended[: len(held)]:
            queue.give_back(held.pop(number % len(held)))
        while len(held) < slots:
            one = queue.first()
            assert one is not None
            queue.take(one)
            held.append(one)
        counts = {tenant: sum(x.tenant == tenant for x in held) for tenant in named}
        for a, b in itertools.permutations(named, 2):
            ahead = counts[a] / named[a] - counts[b] / named[b]
            assert ahead <= 1 / named[a] + 1e-9


def test_a_weight_of_three_is_three_slots_of_four() -> None:
    queue = FairQueue[Ticket]()
    for number in range(20):
        queue.join(ticket("heavy", number), Share(slot_weight=3))
        queue.join(ticket("light", number), EVEN)
    for _ in range(8):
        one = queue.first()
        assert one is not None
        queue.take(one)
    assert [(s.tenant, s.slot_count) for s in queue.standings(0)] == [("heavy", 6), ("light", 2)]


def test_with_fewer_slots_than_tenants_each_has_its_turn_before_any_has_a_second() -> None:
    queue, served = FairQueue[Ticket](), list[str]()
    for number, tenant in itertools.product(range(3), TENANTS):
        queue.join(ticket(tenant, number), EVEN)
    while one := queue.first():
        queue.take(one)
        queue.give_back(one)
        served.append(one.tenant)
    assert [set(served[n : n + 4]) for n in (0, 4, 8)] == [set(TENANTS)] * 3


def test_a_tenant_that_was_served_waits_its_turn_after_it_was_gone_for_a_moment() -> None:
    queue, served = FairQueue[Ticket](), list[str]()
    for number in range(4):
        queue.join(ticket("many", number), EVEN)
    for number in range(4):
        queue.join(ticket("one", number), EVEN)
        for _ in range(2):
            one = queue.first()
            assert one is not None
            served.append(one.tenant)
            queue.take(one)
            queue.give_back(one)
    assert served == ["many", "one"] * 4


def test_a_cap_that_is_lowered_takes_nothing_away_and_gives_nothing_more() -> None:
    queue, held = FairQueue[Ticket](), list[Ticket]()
    for number in range(6):
        queue.join(ticket("acme", number), EVEN)
    for _ in range(4):
        one = queue.first()
        assert one is not None
        queue.take(one)
        held.append(one)
    queue.join(ticket("acme", 6), Share(chunk_count=2))
    free = []
    for one in held:
        free.append(queue.first() is not None)
        queue.give_back(one)
    assert free == [False, False, False, True]


def test_whoever_leaves_out_of_thousands_leaves_no_hole() -> None:
    queue = FairQueue[Ticket]()
    waiting = [ticket("acme", number, since=float(number)) for number in range(5000)]
    for one in waiting:
        queue.join(one, EVEN)
    for one in waiting[:4000] + waiting[4001:]:
        queue.leave(one)
        queue.leave(one)
    assert queue.first() is waiting[4000]
    assert queue.standings(4010.0) == [standing("acme", 0, 1, 10.0)]


def test_lanes_change_nothing_between_tenants_and_are_told_apart() -> None:
    queue = FairQueue[Ticket]()
    for number in range(4):
        queue.join(ticket("acme", number), EVEN)
        queue.join(Ticket(tenant="bolt", lane=Lane.BACKFILL, order=(number,), since=5.0), EVEN)
    queue.join(Ticket(tenant="bolt", lane=Lane.SCHEDULED, order=(9,), since=2.0), EVEN)
    taken = []
    for _ in range(4):
        one = queue.first()
        assert one is not None
        queue.take(one)
        taken.append((one.tenant, one.lane))
    assert sorted(taken) == [
        *[("acme", Lane.INTERACTIVE)] * 2,
        ("bolt", Lane.BACKFILL),
        ("bolt", Lane.SCHEDULED),
    ]
    assert queue.standings(8.0)[1] == Standing(
        tenant="bolt",
        lanes=(
            LaneStanding(lane=Lane.INTERACTIVE),
            LaneStanding(lane=Lane.SCHEDULED, slot_count=1),
            LaneStanding(lane=Lane.BACKFILL, slot_count=1, waiting_count=3),
        ),
        wait_seconds=3.0,
    )


class Counted(int):
    """A number that counts how often it is compared."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return isinstance(other, int) and int(self) == int(other)

    def __lt__(self, other: Any) -> bool:
        Counted.compared += 1
        return int(self) < int(other)

    __hash__ = int.__hash__


@pytest.mark.parametrize("waiting", [100, 10_000])
def test_choosing_does_not_look_at_every_chunk(waiting: int) -> None:
    queue = FairQueue[Ticket]()
    for number in range(waiting):
        queue.join(ticket("acme", Counted(number)), EVEN)
    Counted.compared = 0
    for _ in range(50):
        one = queue.first()
        assert one is not None
        queue.take(one)
        queue.give_back(one)
    assert Counted.compared <= 50 * 8 * math.log2(waiting)

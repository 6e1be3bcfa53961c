"""Every placement of one fault, and of two, over all calls of a small world: explored by replay."""

import dataclasses
import gc
import time
from collections.abc import Callable, Iterator
from typing import Final

from tests.model.small import SMALL, Small, told
from tests.sim.faults import CHOSEN, Fault, Point, occurs_not
from tests.sim.seeds import ending, quiet
from tests.sim.world import World

Faults = tuple[tuple[int, Fault], ...]
"""Numbers of calls, from 1, and what they meet; in order."""

SECONDS: Final = 0.01
LATE_SECONDS: Final = 20.0
"""Longer than a worker may be silent, and than a lease lasts that nobody renews."""
ECHO_SECONDS: Final = 2.0


@dataclasses.dataclass(slots=True)
class Script:
    """Chance that leaves nothing to chance."""

    faults: dict[int, Fault]
    state: Callable[[Point], int] = lambda _: 0
    calm: bool = False
    calls: list[tuple[Point, int]] = dataclasses.field(default_factory=list)
    """Each call's point, and the state of the world when it began."""

    def meets(self, point: Point) -> Fault | None:
        if self.calm:
            return None
        self.calls.append((point, self.state(point)))
        return self.faults.get(len(self.calls))

    def way(self, fault: Fault | None) -> float:
        return LATE_SECONDS if fault is Fault.DELAY else SECONDS

    def echo(self) -> float:
        return ECHO_SECONDS

    def stop(self) -> float:
        return LATE_SECONDS


@dataclasses.dataclass(frozen=True, slots=True)
class Execution:
    """What became of one placement."""

    faults: Faults
    broken: str
    calls: tuple[tuple[Point, int], ...]
    story: tuple[str, ...]


def execute(small: Small, faults: Faults) -> Execution:
    """Tell the story of a small world while these calls meet these faults."""
    script = Script(dict(faults))
    world = small.world(script)
    script.state = lambda point: state_of(world, point)
    broken = ending(world, told(small, world))
    return Execution(faults, broken, tuple(script.calls), tuple(world.story))


def state_of(world: World, point: Point) -> int:
    """Return a hash of what may matter from here on, but for clocks: of all that decides, and the call."""
    warehouse = world.warehouse
    return hash(
        (
            point,
            tuple(
                (record.run, record.epoch, record.detail.type) for record in world.journals.records
            ),
            frozenset(world.journals.sealed),
            tuple(
                (name, tuple((row.run, row.attempt, row.source, row.number) for row in rows))
                for name, rows in sorted(warehouse.tables.items())
            ),
            frozenset(warehouse.jobs.items()),
            frozenset(warehouse.committed),
            len(warehouse.streams),
            world.lease.epoch,
            world.lease.holder is not None,
            tuple((pod.process.awake, world.old(pod.process)) for pod in world.pods),
            frozenset((x, n) for x, n in world.network.under_way.items() if n),
        )
    )


@dataclasses.dataclass(slots=True)
class Explored:
    """What the exploration of one small world has come to."""

    name: str
    executions: int = 0
    left_out: int = 0
    """Second faults that were not placed, as another execution had met the same state with it."""
    states: set[int] = dataclasses.field(default_factory=set)
    longest: int = 0
    """Most calls of one execution."""
    broken: list[Execution] = dataclasses.field(default_factory=list)
    cpu_seconds: float = 0.0


def explore(name: str, most: int, *, stop: bool = False) -> Explored:
    """Place up to `most` faults in a small world in every way; stop at the first broken promise or go on.

    A first fault is placed at every call of the execution without any. A further one is placed at every
    call after it, once for each state of the world in which it could be.
    """
    found, begun = Explored(name), time.process_time()
    seen: set[tuple[int, Fault, int]] = set()
    with quiet():
        ahead: list[Faults] = [()]
        while ahead:
            done = execute(SMALL[name], ahead.pop())
            found.executions += 1
            found.longest = max(found.longest, len(done.calls))
            found.states.update(state for _, state in done.calls)
            if not found.executions % 50:
                gc.collect()
            if done.broken:
                found.broken.append(done)
                if stop:
                    break
            elif len(done.faults) < most:
                ahead += _next(done, found, seen)
    found.cpu_seconds = time.process_time() - begun
    return found


def _next(done: Execution, found: Explored, seen: set[tuple[int, Fault, int]]) -> Iterator[Faults]:
    """Return placements of one more fault, after those of an execution."""
    first = done.faults[-1][0] if done.faults else 0
    for number, (point, state) in enumerate(done.calls[first:], first + 1):
        for fault in CHOSEN:
            if occurs_not(point, fault):
                continue
            key = (state, fault, len(done.faults))
            if done.faults and key in seen:
                found.left_out += 1
                continue
            seen.add(key)
            yield (*done.faults, (number, fault))


def said(done: Execution) -> str:
    """Return the faults of an execution in words."""
    return ", then ".join(f"{done.calls[n - 1][0]} (call {n}) {fault}" for n, fault in done.faults)

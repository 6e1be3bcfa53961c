"""A world in virtual time, with workers that take their time and fail in the middle."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.memory_workers import Item, MemoryWorker
from services.orchestrator.workers.workers import Assignment, Beat, WorkerGone
from tests.unit.orchestrator.conductor.world import NOON, Clock, Orchestrator, World


def seconds() -> float:
    """Return how much time has passed."""
    return asyncio.get_running_loop().time()


class LoopClock(Clock):
    """The time of a virtual loop: sleepers wake in order, and none moves time for another."""

    def __call__(self) -> datetime:
        return NOON + timedelta(seconds=seconds())

    def monotonic(self) -> float:
        return seconds()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclasses.dataclass(slots=True)
class Course:
    """How the tries of inputs go. What is said of first tries holds for one try at any worker.

    first: Seconds of the first try of an input.
    dies: Inputs whose first try ends without a result after its time.
    later: Seconds of other tries; one second where nothing is said.
    throttled: Inputs whose source asks its reader to wait.
    """

    first: dict[str, float] = dataclasses.field(default_factory=dict)
    dies: set[str] = dataclasses.field(default_factory=set)
    later: dict[str, float] = dataclasses.field(default_factory=dict)
    throttled: set[str] = dataclasses.field(default_factory=set)
    began: list[tuple[float, str, str]] = dataclasses.field(default_factory=list)
    """Moment, input and worker of every try."""

    def tries(self, name: str) -> list[str]:
        """Return the workers that have tried an input, in order."""
        return [worker for _, tried, worker in self.began if tried == name]


@dataclasses.dataclass(slots=True, eq=False)
class Paced(MemoryWorker):
    """Takes the time that its course says, and beats once a second."""

    course: Course = dataclasses.field(default_factory=Course)

    async def ingest(self, assignment: Assignment) -> AsyncGenerator[Beat | r.Landed]:
        name, course = assignment.chunk.input_id, self.course
        self.seen.append(assignment)
        course.began.append((seconds(), name, self.address))
        dies = name in course.dies
        course.dies.discard(name)
        left = course.first.pop(name, None) or course.later.get(name, 1.0)
        yield Beat(slot_count=2)
        try:
            while left > 0:
                await asyncio.sleep(min(left, 1.0))
                left -= 1.0
                yield Beat(throttled=name in course.throttled)
        except (asyncio.CancelledError, GeneratorExit):
            self.stopped += 1
            raise
        if dies:
            raise WorkerGone(f"worker {self.address} died", refused=False)
        yield self._land(assignment)


def world_of(
    count: int, *, workers: int = 2, warehouse: MemoryWarehouse | None = None
) -> tuple[World, Course]:
    """A world of `count` inputs `0.csv` … of one row each, and how its workers go."""
    made = World(clock=LoopClock(), warehouse=warehouse or MemoryWarehouse())
    for number in range(count):
        name = f"{number}.csv"
        made.source.inputs[name] = [Item(scope=name, money=(f"{number}",))]
    course = Course()
    made.workers = [
        Paced(f"w{i}", made.source, made.warehouse, course=course) for i in range(1, workers + 1)
    ]
    return made, course


async def ended(o: Orchestrator, run: Run, *, within: float) -> Run:
    """Wait until a run rests; fail if that takes longer than `within` seconds from now."""
    async with asyncio.timeout(within):
        while not (now := o.commands.find(run.name)).resting:
            await asyncio.sleep(0.1)
    assert now.state is RunState.SUCCEEDED
    return await o.commands.settled(now)


def landed_of(run: Run, name: str) -> r.Landed:
    """Return what the journal says of the chunk of an input."""
    return next(x for key, x in run.landed.items() if key.startswith(f"{name}@"))

"""Workers come, drain and go: who has chunks there, and what becomes of them."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator

from services.orchestrator.runs.records import Share
from services.orchestrator.warehouse.memory_warehouse import MemoryWarehouse
from services.orchestrator.workers.discovery import Found, Place
from services.orchestrator.workers.dispatcher import Dispatcher
from services.orchestrator.workers.memory_workers import MemorySource, MemoryWorker
from services.orchestrator.workers.roster import Roster


class Told:
    """A discovery that finds what a test says."""

    def __init__(self) -> None:
        self.versions: asyncio.Queue[Found] = asyncio.Queue()

    async def follow(self) -> AsyncGenerator[Found]:
        while True:
            yield await self.versions.get()
            self.versions.task_done()

    async def say(self, **workers: bool) -> None:
        """Find these workers, each taking work or not, and wait until that is known."""
        found = {Place(name, name.partition("_")[2]): takes for name, takes in workers.items()}
        self.versions.put_nowait(found)
        await self.versions.join()


@dataclasses.dataclass(slots=True)
class Opened(MemoryWorker):
    """A worker in memory that can be taken for gone, and is its own connection."""

    left: bool = False
    closed: int = 0

    def leave(self) -> None:
        self.left = True

    async def close(self) -> None:
        assert self.left, "its calls end first"
        self.closed += 1


@dataclasses.dataclass(slots=True)
class Room:
    discovery: Told = dataclasses.field(default_factory=Told)
    opened: list[Opened] = dataclasses.field(default_factory=list)
    dispatcher: Dispatcher = dataclasses.field(
        default_factory=lambda: Dispatcher(monotonic=lambda: 0.0, sleep=asyncio.sleep)
    )

    def open(self, address: str) -> tuple[Opened, Opened]:
        self.opened.append(Opened(address, MemorySource(), MemoryWarehouse()))
        return self.opened[-1], self.opened[-1]

    def standing(self) -> dict[str, bool]:
        """Return who is known, and whether it takes work."""
        return {one.address: not one.draining for one in self.dispatcher.workers()}


@contextlib.asynccontextmanager
async def room() -> AsyncGenerator[Room]:
    made = Room()
    following = asyncio.create_task(Roster(made.discovery, made.dispatcher, made.open).follow())
    try:
        yield made
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_workers_are_called_over_one_connection_each_for_as_long_as_they_are_there() -> None:
    async with room() as at:
        await at.discovery.say(a=True, b=True)
        await at.discovery.say(b=True, a=True)
        await at.discovery.say(a=True, c=True)
        assert at.standing() == {"a": True, "c": True}
        assert [(one.address, one.left, one.closed) for one in at.opened] == [
            ("a", False, 0), ("b", True, 1), ("c", False, 0),
        ]  # fmt: skip


async def test_who_drains_stays_connected_and_may_come_back() -> None:
    async with room() as at:
        await at.discovery.say(a=True, b=False)
        assert at.standing() == {"a": True, "b": False}
        await at.discovery.say(a=False, b=True)
        assert at.standing() == {"a": False, "b": True}
        assert [one.left for one in at.opened] == [False, False]


async def test_another_pod_at_an_address_is_another_worker() -> None:
    async with room() as at:
        await at.discovery.say(a_1=True)
        await at.discovery.say(a_2=True)
        assert [(one.address, one.left) for one in at.opened] == [("a_1", True), ("a_2", False)]


async def test_chunks_wait_while_nobody_takes_work_and_go_to_who_comes() -> None:
    async with room() as at:
        await at.discovery.say(a=False)

        async def chunk() -> str:
            async with at.dispatcher.seat("acme", order=(0,), share=Share()) as seat:
                return seat.worker.address

        waiting = asyncio.create_task(chunk())
        await at.discovery.say()
        assert not waiting.done()
        assert at.dispatcher.tenants()[0].waiting_count == 1
        await at.discovery.say(b=True)
        async with asyncio.timeout(5):
            assert await waiting == "b"

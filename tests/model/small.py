"""Small worlds: one or two runs of one or two chunks, two orchestrators, and what callers ask of them."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable
from typing import Final

from services.orchestrator.workers.memory_workers import Item
from tests.sim.clients import Client
from tests.sim.script import look_at_the_end
from tests.sim.world import Tenant, World

TENANT: Final = "acme_corp"


class Caller(Client):
    """One tenant's people: they do what a story says, and each waits for what it asked."""

    def put(self, name: str, *money: str, bad: str = "", version: int = 0) -> None:
        """Deliver an object with these rows, one of them bad where `bad` is its money."""
        rows = [Item(scope=name, money=(x,), key=x, version=version) for x in money]
        if bad:
            rows.append(Item(scope=name, money=(bad,), bad=True))
        self.tenant.source.inputs[name] = rows
        self.tenant.books.changed(self.tenant.source.inputs, ())

    async def run(self, which: int = 0) -> str:
        """Start a run and wait until it rests; return its name."""
        name = await self.start(which, "A", None)
        assert name is not None
        await self.rests(name, 300)
        return name


Story = Callable[[Caller], Awaitable[None]]


async def one_run(caller: Caller) -> None:
    caller.put("a.csv", "1", "2.5")
    caller.put("b.csv", "3", bad="0")
    await caller.run()


async def one_after_another(caller: Caller) -> None:
    caller.put("a.csv", "1", "2")
    await caller.run()
    caller.put("a.csv", "2", "4", version=1)
    caller.put("b.csv", "5")
    await caller.run()


async def two_at_once(caller: Caller) -> None:
    caller.put("a.csv", "1", "2")
    await asyncio.gather(caller.run(0), caller.run(1))


async def two_looks_at_once(caller: Caller) -> None:
    caller.put("a.csv", "1")
    first = asyncio.create_task(caller.run())
    await asyncio.sleep(0.08)
    caller.put("a.csv", "2")
    await asyncio.gather(first, caller.run())


async def approved(caller: Caller) -> None:
    caller.put("a.csv", "1", bad="5")
    name = await caller.run()
    await caller.order(name, "approve")
    await caller.rests(name, 300)


def cancelled(seconds: float) -> Story:
    """Cancel a run so long after it was created."""

    async def story(caller: Caller) -> None:
        caller.put("a.csv", "1")
        name = await caller.start(0, "A", None)
        assert name is not None
        await asyncio.sleep(seconds)
        await caller.order(name, "cancel")
        await caller.rests(name, 300)

    return story


@dataclasses.dataclass(frozen=True, slots=True)
class Small:
    """A small world and its story."""

    mode: str
    story: Story
    transforms: int = 0

    def world(self, chance: object) -> World:
        """Return the world before anything has happened."""
        return World(0, chance, [Tenant(TENANT, self.mode, self.transforms)])  # type: ignore[arg-type]


SMALL: Final[dict[str, Small]] = {
    "append": Small("append", one_run),
    "append, two pipelines at once": Small("append", two_at_once),
    "append, two transforms": Small("append", one_after_another, 2),
    "direct": Small("direct", one_run),
    "replace, one after another": Small("replace", one_after_another, 1),
    "replace, two looks at once": Small("replace", two_looks_at_once),
    "replace, held and approved": Small("replace", approved),
    "replace, cancelled while it is read": Small("replace", cancelled(0.1)),
    "replace, cancelled while it is published": Small("replace", cancelled(0.3)),
    "merge": Small("merge", one_after_another),
}


async def told(small: Small, world: World) -> None:
    """Tell the story; then let everything be well, and check what is left."""
    places = [world.loop.outside(pod.live()) for pod in world.pods]
    caller = Caller(world, world.tenants[0], 0)
    await small.story(caller)
    world.heal()
    await caller.bring_to_rest()
    await look_at_the_end(world)
    assert not any(place.done() for place in places)

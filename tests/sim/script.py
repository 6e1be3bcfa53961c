"""What happens in a seed's world: tenants deliver and ask, machines fail; in the end everything is well."""

import asyncio
from random import Random

from tests.sim.clients import Client
from tests.sim.invariants import Broken
from tests.sim.planner import Planner
from tests.sim.trouble import break_one
from tests.sim.world import PLANNER, World


async def told(world: World) -> None:
    """Let everything happen, then let everything be well, and check what is left."""
    places = [world.loop.outside(pod.live()) for pod in world.pods]
    clients = [
        (Planner if tenant.name == PLANNER else Client)(world, tenant, number)
        for number, tenant in enumerate(world.tenants)
    ]
    events = world.loop.outside(trouble(world))
    await asyncio.gather(*(client.live() for client in clients))
    if events.done():
        events.result()
    events.cancel()
    world.heal()
    await asyncio.gather(*(client.finish() for client in clients))
    await look_at_the_end(world)
    if len(world.checks.runs) < 3:
        world.fail(Broken("allowed-rest", "fewer than three runs were created"))
    assert not any(place.done() for place in places)


async def look_at_the_end(world: World) -> None:
    """Check what is left when every run has come to its end."""
    await asyncio.sleep(200)
    world.checks.finish(await world.ledger())
    left = {
        one.address: n for one in world.workers for p, n in one.open.items() if n and not p.dead
    }
    if left:
        world.fail(Broken("no-leak", f"tries that nobody needs go on: {left}"))


async def trouble(world: World) -> None:
    """Break things that are no call, at times that the seed says."""
    random = Random(f"{world.seed}/trouble")
    kinds = ["kill"] * 3 + ["pause"] * 3 + ["depose"] * 2
    kinds += ["standby", "worker", "worker", "streams", "job", "transform", "forbidden", "busy"]
    for at in sorted(random.uniform(0.3, 40) for _ in range(random.choice([0, 1, 1, 2, 2, 3, 4]))):
        await asyncio.sleep(at - world.loop.now)
        world.events += break_one(world, random, random.choice(kinds))

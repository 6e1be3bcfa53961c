"""What happens in a seed's world: tenants deliver and ask, machines fail; in the end everything is well."""

import asyncio
from random import Random
from typing import Any

from services.orchestrator.runs import records as r
from services.orchestrator.workers.workers import ChunkFailed
from tests.sim.clients import Client
from tests.sim.invariants import Broken
from tests.sim.world import World
from tests.unit.orchestrator.model.story import FORBIDDEN

BUSY = r.Failure(kind="quota", reason="SOURCE_RATE_LIMITED", message="429", advice="")


async def told(world: World) -> None:
    """Let everything happen, then let everything be well, and check what is left."""
    places = [world.loop.outside(pod.live()) for pod in world.pods]
    clients = [Client(world, tenant, number) for number, tenant in enumerate(world.tenants)]
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


def break_one(world: World, random: Random, kind: str) -> bool:
    """Break one thing; return whether there was one to break."""
    leader, worker = world.lease.holder, random.choice(world.workers)
    serving = random.choice(list(worker.tenants.values()))
    match kind:
        case "kill" | "pause" | "depose" if leader is None or leader.dead or not leader.awake:
            return False
        case "kill" if leader is not None:
            world.kill(leader)
        case "pause" if leader is not None:
            world.pause(leader, random.choice([2, 6, 8, 15, 40]) * random.uniform(0.8, 1.2))
        case "depose" if leader is not None:
            world.depose(leader)
        case "standby":
            for pod in world.pods:
                if pod.process is not leader:
                    world.kill(pod.process)
        case "worker":
            worker.up = False
            world.later(random.uniform(1, 20), _up, world, worker)
        case "streams":
            return world.warehouse.forget_streams() > 0
        case "job":
            world.warehouse.breaking += 1
        case "transform":
            world.warehouse.broken_transforms.add("t0")
            world.later(10, world.warehouse.broken_transforms.discard, "t0")
        case "forbidden":
            serving.failures.append(ChunkFailed(FORBIDDEN, transient=False))
        case "busy":
            serving.failures.append(ChunkFailed(BUSY, transient=True, retry_after=2.0))
    world.tell(f"      {kind}: broken")
    return True


def _up(world: World, worker: Any) -> None:
    worker.up = True

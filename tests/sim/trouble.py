"""What breaks that is no call: leaders, workers, streams, statements, sources."""

from random import Random

from services.orchestrator.runs import records as r
from services.orchestrator.workers.workers import ChunkFailed
from tests.sim.neighbours import WorkerProcess
from tests.sim.world import World
from tests.unit.orchestrator.model.story import FORBIDDEN

BUSY = r.Failure(kind="quota", reason="SOURCE_RATE_LIMITED", message="429", advice="")


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


def _up(world: World, worker: WorkerProcess) -> None:
    worker.up = True

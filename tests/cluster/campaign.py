"""A campaign on the cluster: load and readers while pods are disturbed, written as tests/faults writes it."""

import asyncio
import contextlib
import dataclasses
import json
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Final

import aiohttp
from convergence.auth.v1.tenant_pb2 import Tenant

from libs.client import AsyncClient
from tests.cluster import disturbances, release, volume
from tests.cluster.instances import Instances, moment
from tests.cluster.leaders import Leaders
from tests.faults import kinds, last_look, reading, sources
from tests.faults.histories import History
from tests.faults.load import CANCEL_SLOW, SCENARIOS, Ground, Load
from tests.faults.odometer import Odometer
from tests.faults.reading import Engine
from tests.faults.sources import Pipeline

ROLES: Final = {"orchestrator": kinds.ORCHESTRATOR, "ingest": kinds.WORKER}
CALL_SECONDS: Final = 30.0
"""Deadline of a call: what docs/retries.md tells a client to give."""
SETTLE_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 180.0
LEADING: Final = ("orchestrator", "all")
LEADER_SECONDS: Final = 60.0
STEADY_SECONDS: Final = 2.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a campaign is to do."""

    folder: Path
    seed: str
    seconds: float
    """Over which the disturbances are spread."""
    count: int
    """Of disturbances."""
    pipelines: Sequence[Pipeline]
    scale: float = 1.0
    load: Callable[..., Load] = Load
    """What loads a pipeline."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What is disturbed, and where that is written."""

    history: History
    mesh: release.Release
    instances: Instances
    leaders: Leaders

    def note(self, kind: str, name: str) -> None:
        """Write down what was done to a process."""
        self.history.write("fault", fault=kind, at=name, seconds=0.0)


Disturb = Callable[[Plan, Scene], Coroutine[None, None, None]]
"""Disturbs a mesh while it is under load, and returns when that is done."""


async def conduct(plan: Plan, mesh: release.Release, leaders: Leaders, disturb: Disturb) -> None:
    """Carry a campaign out on an installed mesh; its history is in `plan.folder`."""
    history = History(plan.folder)
    history.write(
        "begun",
        wall=time.time(),
        kinds=(disturbances.TERM, disturbances.KILL),
        without=["stream"],
        seed=plan.seed,
        mutant="",
        scale=plan.scale,
        least={"all": plan.count},
        seconds=plan.seconds,
    )
    for pipeline in plan.pipelines:
        history.write("pipeline", **pipeline.facts())
    instances = Instances(mesh.namespace)
    instances.look()
    following = asyncio.create_task(instances.follow())
    scene = Scene(history=history, mesh=mesh, instances=instances, leaders=leaders)
    try:
        await _conduct(plan, scene, disturb)
    finally:
        following.cancel()
        _keep(history, instances)
        instances.close()
        history.close()


async def _conduct(plan: Plan, scene: Scene, disturb: Disturb) -> None:
    history, mesh = scene.history, scene.mesh
    ground = Ground(
        history=history,
        odometer=Odometer(),
        patience=PATIENCE_SECONDS * plan.scale,
        healed=asyncio.Event(),
        slow=lambda _tables: asyncio.Event(),
    )
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        clients = await _clients(plan, mesh, stack)
        loads = []
        for pipeline in plan.pipelines:
            folder = sources.lay_out(volume.FOLDER, pipeline)
            loads.append(plan.load(ground, clients[pipeline.tenant], pipeline, folder, plan.seed))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        engine = Engine(session, lambda: f"{mesh.bigquery}:9050")
        reader = asyncio.create_task(_read(plan, history, engine))
        history.write("loaded")
        tasks = [
            asyncio.create_task(load.run(stop, _script(plan, load.pipeline))) for load in loads
        ]
        try:
            await disturb(plan, scene)
        finally:
            stop.set()
            ground.healed.set()
        await asyncio.to_thread(mesh.settle)
        history.write("healed")
        history.write("ill", processes=[])
        await asyncio.wait(tasks, timeout=2 * ground.patience)
        reader.cancel()
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                history.write("odd", turn="", op="load", text=repr(error))
        await asyncio.gather(reader, return_exceptions=True)
        within = SETTLE_SECONDS * plan.scale
        await last_look.take(history, engine, plan.pipelines, clients, within=within)


async def _clients(
    plan: Plan, mesh: release.Release, stack: contextlib.AsyncExitStack
) -> Mapping[str, AsyncClient]:
    clients = {}
    async with AsyncClient(mesh.edge, mesh.key) as platform:
        for tenant in sorted({p.tenant for p in plan.pipelines}):
            await platform.tenants.create(tenant, Tenant(display_name=tenant))
            key = (await platform.keys.create(f"tenants/{tenant}", description="load")).secret
            client = AsyncClient(mesh.edge, key, call_seconds=CALL_SECONDS)
            clients[tenant] = await stack.enter_async_context(client)
    return clients


async def disturb(plan: Plan, scene: Scene) -> None:
    """Do every disturbance of the seed at its moment, evenly over the campaign's time.

    Orchestrators are disturbed while one leads: who takes each successor away keeps the mesh down for
    as long as that lasts, and no client's deadline says anything about it.
    """
    planned = disturbances.seeded(plan.seed, plan.count)
    began = time.monotonic()
    for number, what in enumerate(planned):
        due = began + plan.seconds * (number + 0.5) / len(planned)
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        if what.target in LEADING:
            await led(scene.leaders, LEADER_SECONDS * plan.scale)
        facts = dataclasses.asdict(what)
        scene.history.write("disturbed", number=number, **{f"of_{k}": v for k, v in facts.items()})
        await asyncio.to_thread(disturbances.do, what, scene.mesh, scene.instances, scene.note)
    await asyncio.sleep(max(0.0, began + plan.seconds - time.monotonic()))


async def led(leaders: Leaders, seconds: float) -> None:
    """Wait until somebody has led for a moment; raise TimeoutError if nobody does."""
    async with asyncio.timeout(seconds):
        while not leaders.now or time.monotonic() - leaders.changes[-1].at < STEADY_SECONDS:
            await asyncio.sleep(0.1)


def _script(plan: Plan, pipeline: Pipeline) -> list[str]:
    """Let a pipeline's first turns be one of each scenario, after one that is plain."""
    rest = [name for name in SCENARIOS if name not in {"plain", CANCEL_SLOW}]
    random.Random(f"{plan.seed} {pipeline.name} script").shuffle(rest)
    return ["plain", *rest]


async def _read(plan: Plan, history: History, engine: Engine) -> None:
    while True:
        for pipeline in plan.pipelines:
            answered = await reading.read(engine, history, pipeline, silver=False)
            if answered and pipeline.silver:
                answered = await reading.read(engine, history, pipeline, silver=True)
            await asyncio.sleep(0.2 if answered else 0.5)


def _keep(history: History, instances: Instances) -> None:
    """Write down who there was, who led, what could not be tidied up, and who ended when."""
    instances.look()
    for one in instances.all.values():
        role = ROLES.get(one.component, one.component)
        history.write("member", name=one.name, role=role, link=False)
        if one.ended is not None:
            history.write("process", wall=moment(one.ended), event="process.died", process=one.name)
        for line in one.lines() if one.component == "orchestrator" else ():
            if "leadership.begun" in line:
                event = json.loads(line)
                history.write("leads", wall=event["time"], process=one.name, epoch=event["epoch"])
            if "tidying.left" in line:
                event = json.loads(line)
                history.write("untidied", wall=event["time"], cause=event["cause"])

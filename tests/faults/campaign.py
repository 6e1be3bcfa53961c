"""A campaign: the mesh under load and readers while the nemesis strikes, all written into a history."""

import asyncio
import contextlib
import dataclasses
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp

from libs.client import AsyncClient
from libs.common.errors import ServiceError
from tests.faults import mesh, reading, running, sources, wire
from tests.faults.histories import History
from tests.faults.load import SCENARIOS, Ground, Load
from tests.faults.nemesis import Nemesis, Strike, strikes
from tests.faults.reading import Engine, Unanswered
from tests.faults.sources import Pipeline
from tests.faults.storage_port import Fault

TENANTS: Final = ("north", "south", "west")
SETTLE_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 2.5
"""How long the nemesis waits for operations before it strikes all the same."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a campaign is to do."""

    folder: Path
    seed: str
    seconds: float
    rounds: int = 0
    """How many rounds of the schedule; 0 means as many as fit into the time."""
    pipelines: Sequence[Pipeline]
    mutant: str = ""
    schedule: Sequence[Strike] = ()
    """The faults of every round; empty for those of the seed."""
    script: Sequence[str] = ()
    """First turns of every pipeline; empty for one of each kind."""
    gap: int = 30
    """Operations between two faults, on average."""
    patience: float = 180.0
    """Seconds that a turn, with all that is done to it, may take."""
    scale: float = 1.0
    """By how much slower than a machine of its own this one is: bars in seconds are multiplied by it."""
    least: dict[str, int] = dataclasses.field(default_factory=dict)
    """Least faults: in all (`all`), by kind, and by process (`process`); and turns of each `scenario` that
    came to what it is for."""


def everything() -> tuple[Pipeline, ...]:
    return tuple(Pipeline(tenant=t, mode=m) for t in TENANTS for m in sources.MODES)


def a_few() -> tuple[Pipeline, ...]:
    """Every mode once, three tenants."""
    places = zip((*TENANTS, TENANTS[0]), sources.MODES, strict=True)
    return tuple(Pipeline(tenant=t, mode=m) for t, m in places)


async def conduct(plan: Plan) -> None:
    """Carry a campaign out; its history is in `plan.folder`, everything else is gone."""
    history = History(plan.folder)
    facts = dataclasses.asdict(plan)
    history.write(
        "begun",
        wall=time.time(),
        **{k: facts[k] for k in ("seed", "mutant", "scale", "least", "seconds")},
    )
    for pipeline in plan.pipelines:
        history.write("pipeline", **pipeline.facts())
    try:
        async with (
            wire.opened(history) as wired,
            running.running(wired, plan.folder, mutant=plan.mutant) as made,
        ):
            ill = await made.serving(60.0 * plan.scale)
            history.write("ill", processes=ill)
            if not ill:
                await _conduct(plan, history, wired, made)
            _keep_logs(history, made)
        left = running.left_behind(plan.folder)
        history.write("left", what="process", found=left)
        running.end(left)
    finally:
        history.close()


async def _conduct(plan: Plan, history: History, wired: wire.Wire, made: running.Running) -> None:
    keys = await made.tenants(sorted({p.tenant for p in plan.pipelines}))
    ground = Ground(
        history=history,
        odometer=wired.odometer,
        patience=plan.patience,
        healed=asyncio.Event(),
        slow=lambda tables: _slow(wired, tables, 6.0 * plan.scale),
    )
    nemesis = Nemesis(
        history=history,
        odometer=wired.odometer,
        links=wired.links,
        rest=wired.rest,
        storage=wired.storage,
        spec=made.spec,
        state=made.state,
    )
    wired.struck = nemesis.struck
    stop = asyncio.Event()
    async with contextlib.AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        engine = Engine(session, lambda: made.state().addresses()["bigquery_rest"])
        clients = {
            tenant: await stack.enter_async_context(AsyncClient(made.edge, key))
            for tenant, key in keys.items()
        }
        loads = []
        for pipeline in plan.pipelines:
            folder = sources.lay_out(Path(made.spec.configs), pipeline)
            loads.append(Load(ground, clients[pipeline.tenant], pipeline, folder, plan.seed))
        reader = asyncio.create_task(_read(plan, history, engine))
        history.write("loaded")
        tasks = [
            asyncio.create_task(
                load.run(stop, list(plan.script) or _script(plan.seed, load.pipeline))
            )
            for load in loads
        ]
        try:
            await _strike(plan, nemesis, stop)
        finally:
            stop.set()
            await nemesis.heal()
            ground.healed.set()
        history.write("ill", processes=await made.serving(30.0 * plan.scale))
        await asyncio.wait(tasks, timeout=2 * plan.patience)
        reader.cancel()
        for task in tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                history.write("odd", turn="", op="load", text=repr(error))
        await asyncio.gather(reader, return_exceptions=True)
        try:
            await _last_look(plan, history, engine, clients, wired)
        except (ServiceError, Unanswered) as error:
            history.write("odd", turn="", op="last look", text=repr(error))


def _slow(wired: wire.Wire, tables: str, seconds: float) -> asyncio.Event:
    fault = Fault("grpc_slow", "AppendRows", seconds, tables)
    wired.storage.arm(fault)
    return fault.met


def _script(seed: str, pipeline: Pipeline) -> list[str]:
    """Let a pipeline's first turns be one of each scenario, after one that is plain."""
    rest = [name for name in SCENARIOS if name != "plain"]
    random.Random(f"{seed} {pipeline.name} script").shuffle(rest)
    return ["plain", *rest]


async def _strike(plan: Plan, nemesis: Nemesis, stop: asyncio.Event) -> None:
    """Let the nemesis work for the campaign's time, or for its rounds if that is sooner."""
    number = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(plan.seconds):
            while not plan.rounds or number < plan.rounds:
                seeded = strikes(f"{plan.seed} {number}", gap=plan.gap)
                await nemesis.work(list(plan.schedule or seeded), stop, patience=PATIENCE_SECONDS)
                number += 1
            await nemesis.met(within=30.0 * plan.scale)


async def _read(plan: Plan, history: History, engine: Engine) -> None:
    while True:
        for pipeline in plan.pipelines:
            answered = await reading.read(engine, history, pipeline, silver=False)
            if answered and pipeline.silver:
                answered = await reading.read(engine, history, pipeline, silver=True)
            await asyncio.sleep(0.05 if answered else 0.5)


async def _last_look(
    plan: Plan,
    history: History,
    engine: Engine,
    clients: dict[str, AsyncClient],
    wired: wire.Wire,
) -> None:
    """Write down what is there at the end, when all is quiet; last what needs a journal that can be read."""
    await _quiet(plan, history, engine)
    for pipeline in plan.pipelines:
        for silver, table in enumerate(filter(None, (pipeline.target, pipeline.silver))):
            origin = "origin" if silver else "_source"
            sql = f"SELECT {origin}, id, k, v, CAST(cost AS STRING) FROM {table} ORDER BY 1, 2"
            rows = await engine.rows(sql, seconds=60) or []
            history.write("rows", pipeline=pipeline.name, silver=bool(silver), rows=rows)
        sql = f"SELECT _run_id, _source, _row_number FROM {pipeline.target}__quarantine"
        history.write("quarantine", pipeline=pipeline.name, rows=await engine.rows(sql) or [])
    sql = (
        "SELECT position, epoch, event_id, event_type, tenant_id, pipeline_id, run_id"
        " FROM metadata.run_events ORDER BY position"
    )
    for position, epoch, event, type_, tenant, pipeline_id, run in await engine.rows(sql) or ():
        name = f"tenants/{tenant}/pipelines/{pipeline_id}/runs/{run}" if run else ""
        facts = {"position": int(position), "epoch": int(epoch), "event": event}
        history.write("record", **facts, type=type_, run=name)
    for stream in wired.storage.streams.values():
        history.write("stream", **dataclasses.asdict(stream))
    for tenant, client in clients.items():
        for run in await client.runs.list(f"tenants/{tenant}", limit=None):
            history.write("run", run=run.name, state=_state(run), rows=run.receipt.landed_row_count)


def _state(run: Any) -> str:
    from convergence.orchestrator.v1.run_pb2 import RunState  # noqa: PLC0415

    return RunState.Name(run.state).removeprefix("RUN_STATE_")


async def _quiet(plan: Plan, history: History, engine: Engine) -> None:
    """Wait until no staging table is left, and write down those that stay."""
    tenants = sorted({p.tenant for p in plan.pipelines})
    until = asyncio.get_running_loop().time() + SETTLE_SECONDS * plan.scale
    while True:
        left = []
        for tenant in tenants:
            sql = f"SELECT table_name FROM {tenant}_staging.INFORMATION_SCHEMA.TABLES"
            try:
                left += [f"{tenant}_staging.{row[0]}" for row in await engine.rows(sql) or ()]
            except Unanswered as error:
                left.append(str(error))
        if not left or asyncio.get_running_loop().time() > until:
            history.write("left", what="staging", found=left)
            return
        await asyncio.sleep(0.5)


def _keep_logs(history: History, made: running.Running) -> None:
    """Copy what the supervisor and the orchestrators' logs say of starts, ends and leaderships."""
    logs = made.folder / "logs"
    for line in (logs / "mesh.log").read_text().splitlines():
        event = json.loads(line)
        if event["message"] in {"process.started", "process.died"}:
            facts = {k: event.get(k) for k in ("process", "pid", "how")}
            history.write("process", wall=event["time"], event=event["message"], **facts)
    for name in mesh.ORCHESTRATORS:
        for line in (logs / f"{name}.log").read_text(errors="replace").splitlines():
            if "leadership.begun" in line:
                event = json.loads(line)
                facts = {"process": name, "epoch": event["epoch"]}
                history.write("leads", wall=event["time"], **facts)
            if "tidying.left" in line:
                event = json.loads(line)
                history.write("untidied", wall=event["time"], cause=event["cause"])

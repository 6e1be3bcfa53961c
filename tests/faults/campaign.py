"""A campaign: the mesh under load and readers while the nemesis strikes, all written into a history."""

import asyncio
import contextlib
import dataclasses
import json
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from libs.client import AsyncClient
from tests.faults import last_look, mesh, reading, running, sources, wire
from tests.faults.histories import Entry, History
from tests.faults.kinds import KINDS
from tests.faults.load import SCENARIOS, Ground, Load
from tests.faults.nemesis import Nemesis, Strike, strikes
from tests.faults.reading import Engine
from tests.faults.robbery import Claims, Robber
from tests.faults.sources import Delivery, Pipeline
from tests.faults.storage_port import Fault

TENANTS: Final = ("north", "south", "west")
CLAIMED: Final = Pipeline(tenant="east", mode="append")
"""Of which former leaders are asked for runs, and nobody else is."""

SETTLE_SECONDS: Final = 60.0
HUNG_SECONDS: Final = 15.0
"""How long a read takes before the engine is asked what it is doing."""

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
    calm: bool = True
    """Whether the nemesis rests after each round until every turn under way has ended."""
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
        kinds=KINDS,
        **{k: facts[k] for k in ("seed", "mutant", "scale", "least", "seconds")},
    )
    for name, role, link in mesh.members():
        history.write("member", name=name, role=role, link=link)
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
    keys = await made.tenants(sorted({p.tenant for p in (*plan.pipelines, CLAIMED)}))
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
        robber=Robber(
            history=history,
            spec=made.spec,
            state=made.state,
            claims=Claims(pipeline=CLAIMED.name, key=keys[CLAIMED.tenant]),
        ),
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
        folder = sources.lay_out(Path(made.spec.configs), CLAIMED)
        sources.write(folder / "a.csv", Delivery(first=1, good=10))
        loads = []
        for pipeline in plan.pipelines:
            folder = sources.lay_out(Path(made.spec.configs), pipeline)
            loads.append(Load(ground, clients[pipeline.tenant], pipeline, folder, plan.seed))
        reader = asyncio.create_task(_read(plan, history, engine, made))
        history.write("loaded")
        tasks = [
            asyncio.create_task(
                load.run(stop, list(plan.script) or _script(plan.seed, load.pipeline))
            )
            for load in loads
        ]
        try:
            await _strike(plan, nemesis, loads, stop)
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
        for stream in wired.storage.streams.values():
            history.write("stream", **dataclasses.asdict(stream))
        await last_look.take(
            history, engine, plan.pipelines, clients, within=SETTLE_SECONDS * plan.scale
        )


def _slow(wired: wire.Wire, tables: str, seconds: float) -> asyncio.Event:
    fault = Fault("grpc_slow", "AppendRows", seconds, tables)
    wired.storage.arm(fault)
    return fault.met


def _script(seed: str, pipeline: Pipeline) -> list[str]:
    """Let a pipeline's first turns be one of each scenario, after one that is plain."""
    rest = [name for name in SCENARIOS if name != "plain"]
    random.Random(f"{seed} {pipeline.name} script").shuffle(rest)
    return ["plain", *rest]


async def _strike(plan: Plan, nemesis: Nemesis, loads: Sequence[Load], stop: asyncio.Event) -> None:
    """Let the nemesis work for the campaign's time, or for its rounds if that is sooner."""
    number = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(plan.seconds):
            while not plan.rounds or number < plan.rounds:
                seeded = strikes(f"{plan.seed} {number}", gap=plan.gap)
                await nemesis.work(list(plan.schedule or seeded), stop, patience=PATIENCE_SECONDS)
                number += 1
                if plan.calm:
                    await _calm(plan, nemesis, loads)
                else:
                    await nemesis.met(within=30.0 * plan.scale)


async def _calm(plan: Plan, nemesis: Nemesis, loads: Sequence[Load]) -> None:
    """Do nothing until every turn under way has ended: one that stands still could hide between two faults."""
    await nemesis.settle(within=30.0 * plan.scale)
    turns = {asyncio.create_task(load.ended.wait()): load.under_way for load in loads}
    try:
        _, standing = await asyncio.wait(turns, timeout=plan.patience)
        for task in standing:
            nemesis.history.write("standing", turn=turns[task], seconds=plan.patience)
    finally:
        for task in turns:
            task.cancel()


async def _read(plan: Plan, history: History, engine: Engine, made: running.Running) -> None:
    while True:
        for pipeline in plan.pipelines:
            began = history.now()
            answered = await reading.read(engine, history, pipeline, silver=False)
            if answered and pipeline.silver:
                answered = await reading.read(engine, history, pipeline, silver=True)
            if history.now() - began > HUNG_SECONDS:
                running.say_where(made.state().process("bigquery"))
            await asyncio.sleep(0.05 if answered else 0.5)


def _keep_logs(history: History, made: running.Running) -> None:
    """Copy what the supervisor and the orchestrators' logs say of starts, ends and leaderships."""
    logs = made.folder / "logs"
    starts: dict[str, list[str]] = {name: [] for name in mesh.PROCESSES}
    for line in (logs / "mesh.log").read_text().splitlines():
        event = json.loads(line)
        if event["message"] in {"process.started", "process.died"}:
            facts = {k: event.get(k) for k in ("process", "pid", "how")}
            history.write("process", wall=event["time"], event=event["message"], **facts)
            if event["message"] == "process.started":
                starts[event["process"]].append(_zulu(event["time"]))
    for name in mesh.ORCHESTRATORS:
        for event in map(json.loads, _lines(logs / f"{name}.log")):
            if event["message"] == "leadership.begun":
                facts = {"process": name, "epoch": event["epoch"]}
                history.write("leads", wall=event["time"], **facts)
            elif event["message"] == "tidying.left":
                history.write("untidied", wall=event["time"], cause=event["cause"])
        for begun, last in _reigns(map(json.loads, _lines(logs / f"{name}.log")), starts[name]):
            history.write("lived", process=name, epoch=begun["epoch"], wall=last["time"])


def _zulu(time_: str) -> str:
    """Return a moment as services write it into their logs, which sort as texts."""
    return datetime.fromisoformat(time_).astimezone(UTC).isoformat().replace("+00:00", "Z")


def _lines(log: Path) -> Iterator[str]:
    """Yield what a process has logged, without what was cut off or is not its log's."""
    for line in log.read_text(errors="replace").splitlines():
        if line.startswith("{") and line.endswith("}"):
            yield line


def _reigns(events: Iterable[Entry], starts: Sequence[str]) -> Iterator[tuple[Entry, Entry]]:
    """Yield of each leadership where it began, and the last that its process said before the next one started."""
    said = list(events)
    for begun in (e for e in said if e["message"] == "leadership.begun"):
        until = min((start for start in starts if start > begun["time"]), default="9")
        yield begun, [e for e in said if begun["time"] <= e["time"] < until][-1]

"""Proof 3: load raises the workers from one to three and back to one, and every run of that time is exact."""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import aiohttp
import pytest
from convergence.auth.v1.tenant_pb2 import Tenant
from convergence.orchestrator.v1.run_pb2 import RunState

from libs.client import AsyncClient
from tests.cluster import figures, kube, release, volume
from tests.cluster.instances import Instances
from tests.faults import sources
from tests.faults.reading import Engine
from tests.faults.sources import Delivery, Pipeline
from tests.support.eventually import eventually

TENANTS = ("north", "south", "west", "east")
ROWS = 20_000
CHUNK_BYTES = "128KiB"
WANTED = 3
WORKERS = {
    "resources": {"cpu": "100m", "memory": "700Mi"},
    "autoscaling": {"cpuPercent": 30, "max": 4},
}
"""The machine's processors are those of the embedded BigQuery first of all: what it leaves to workers is to be seen."""
BIGQUERY = {"resources": {"memory": "2Gi"}}
"""Millions of rows are no trial any more."""
GROW_SECONDS = 240.0
SHRINK_SECONDS = 240.0
FIRST_CHUNK_SECONDS = 2.0


@pytest.fixture(scope="module")
def mesh() -> Iterator[release.Release]:
    release.make_namespace()
    folder = volume.make()
    volume.give(folder)
    values = volume.values()
    values["services"]["ingest"].update(WORKERS)
    with release.installed(values={**values, "trial": BIGQUERY}) as made:
        yield made
    volume.remove()


@dataclasses.dataclass(slots=True)
class Feeder:
    """One tenant's deliveries and runs, one after another, until it is told to stop."""

    client: AsyncClient
    pipeline: Pipeline
    next_id: int = 1
    turns: int = 0

    async def feed(self, stop: asyncio.Event) -> None:
        folder = sources.lay_out(volume.FOLDER, self.pipeline, chunk_bytes=CHUNK_BYTES)
        while not stop.is_set():
            for old in folder.iterdir():
                old.unlink()
            self.turns += 1
            delivery = Delivery(first=self.next_id, good=ROWS, version=self.turns)
            file = folder / f"d{self.turns:05d}.csv"
            await asyncio.to_thread(sources.write, file, delivery)
            self.next_id += ROWS
            run = await self.client.runs.start_and_wait(self.pipeline.name)
            assert run.state == RunState.RUN_STATE_SUCCEEDED, run
            assert run.receipt.landed_row_count == ROWS, run

    @property
    def wanted(self) -> tuple[int, int, int, Decimal]:
        """Return the rows, ids, their sum and the money that the table must have."""
        ids = range(1, self.next_id)
        return len(ids), len(ids), sum(ids), sum(map(sources.cost, ids), Decimal(0))


@pytest.mark.timeout(1200)
def test_workers_follow_the_load_and_every_run_is_exact(mesh: release.Release) -> None:
    eventually(lambda: workers(mesh) == 1, within=60)
    before = {pod["metadata"]["name"] for pod in mesh.pods("ingest")}
    ready = Ready(mesh)
    with contextlib.closing(Instances(mesh.namespace)) as instances:
        asyncio.run(scale(mesh, instances, ready))
        first = waits(instances, ready, before)
    assert len(first) >= WANTED - 1, first
    figures.note(figures.FIRST_CHUNK, max(first), "s")
    assert max(first) <= FIRST_CHUNK_SECONDS, first


async def scale(mesh: release.Release, instances: Instances, ready: "Ready") -> None:
    stop, clients = asyncio.Event(), contextlib.AsyncExitStack()
    following = asyncio.create_task(instances.follow())
    watching = asyncio.create_task(ready.follow())
    async with clients:
        feeders = [
            Feeder(await client(mesh, t, clients), Pipeline(tenant=t, mode="append"))
            for t in TENANTS
        ]
        tasks = [asyncio.create_task(feeder.feed(stop)) for feeder in feeders]
        began = time.monotonic()
        try:
            await reached(mesh, lambda n: n >= WANTED, GROW_SECONDS, tasks)
            figures.note(figures.GROWN, time.monotonic() - began, "s")
            await asyncio.sleep(20)
        finally:
            stop.set()
        await asyncio.gather(*tasks)
        began = time.monotonic()
        await reached(mesh, lambda n: n == 1, SHRINK_SECONDS, [])
        figures.note(figures.SHRUNK, time.monotonic() - began, "s")
        async with aiohttp.ClientSession() as session:
            engine = Engine(session, lambda: f"{mesh.bigquery}:9050")
            for feeder in feeders:
                assert await found(engine, feeder.pipeline) == feeder.wanted
    following.cancel()
    watching.cancel()


async def client(
    mesh: release.Release, tenant: str, stack: contextlib.AsyncExitStack
) -> AsyncClient:
    async with AsyncClient(mesh.edge, mesh.key) as platform:
        await platform.tenants.create(tenant, Tenant(display_name=tenant))
        key = (await platform.keys.create(f"tenants/{tenant}", description="load")).secret
    return await stack.enter_async_context(AsyncClient(mesh.edge, key, call_seconds=30.0))


async def reached(
    mesh: release.Release,
    enough: Callable[[int], bool],
    seconds: float,
    tasks: list["asyncio.Task[None]"],
) -> None:
    """Wait for a number of ready workers; raise what ended the load meanwhile."""
    end = time.monotonic() + seconds
    while not enough(await asyncio.to_thread(workers, mesh)):
        assert time.monotonic() < end, f"{workers(mesh)} workers after {seconds:.0f} s"
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.5)


def workers(mesh: release.Release) -> int:
    return sum(map(is_ready, mesh.pods("ingest")))


def is_ready(pod: kube.Thing) -> bool:
    conditions = pod["status"].get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class Ready:
    """When each worker became ready, as a watch of the API server tells it at once."""

    def __init__(self, mesh: release.Release) -> None:
        self._mesh = mesh
        self.at: dict[str, float] = {}

    async def follow(self) -> None:
        label = "app.kubernetes.io/component=ingest"
        watch = kube.watch("pods", f"--namespace={self._mesh.namespace}", f"--selector={label}")
        try:
            await asyncio.to_thread(self._follow, watch)
        finally:
            watch.close()

    def _follow(self, watch: kube.Watch) -> None:
        for _event, pod in watch:
            if is_ready(pod):
                self.at.setdefault(pod["metadata"]["name"], time.time())


def waits(instances: Instances, ready: Ready, before: set[str]) -> list[float]:
    """Return, of each worker but those `before`, the seconds from being ready to its first chunk."""
    return [
        max(0.0, began - ready.at[one.pod])
        for one in instances.all.values()
        if one.component == "ingest" and one.pod not in before
        if (began := first_chunk(one.lines()))
    ]


def first_chunk(lines: list[str]) -> float | None:
    """Return when a worker was first asked for a chunk, by its own log."""
    begun = []
    for line in lines:
        if "IngestChunk" in line and '"rpc.done"' in line:
            event = json.loads(line)
            begun.append(timestamp(event["time"]) - event["duration_ms"] / 1000)
    return min(begun, default=None)


def timestamp(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


async def found(engine: Engine, pipeline: Pipeline) -> tuple[int, int, int, Decimal]:
    sql = (
        "SELECT COUNT(*), COUNT(DISTINCT id), SUM(id), CAST(SUM(cost) AS STRING)"
        f" FROM {pipeline.target}"
    )
    ((rows, ids, total, money),) = await engine.rows(sql) or [["0", "0", "0", "0"]]
    return int(rows), int(ids), int(total), Decimal(money)

"""Runs of the whole product on a mesh of its own: real gRPC, two workers, the embedded BigQuery."""

import asyncio
import contextlib
import dataclasses
import decimal
import shutil
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

from convergence.auth.v1.tenant_pb2 import Tenant
from convergence.orchestrator.v1.run_pb2 import Receipt, Run, RunState
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from bench.data import FOLDER
from bench.machine import cpu_seconds, peak_bytes
from bench.tenants import TENANT, Pipeline, write
from libs.client import AsyncClient
from libs.local.demo import neighbours
from libs.local.mesh import lifecycle
from libs.local.mesh.plans import WORKERS
from libs.local.mesh.states import State

GROUPS: Final = dict.fromkeys(WORKERS, "workers") | {
    "bigquery": "engine",
    "orchestrator": "orchestrator",
}
"""How processor time is reported; every other process of the mesh is one of `others`."""


DIGITS: Final = 100
"""What sums are compared with; Python's 28 would round them."""


class WrongRun(Exception):
    """A run did not publish what its source holds: there is nothing to measure."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a source holds: rows, and the sum of each money column over all of them."""

    rows: int
    sums: Mapping[str, Decimal]
    quarantined: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run, from CreateRun until nothing moves by itself.

    stages: Seconds by state, in the order they were seen.
    cpu: Processor seconds by state and group of processes.
    peaks: Most resident bytes by process since the mesh was started.
    """

    rows: int
    seconds: float
    chunks: int
    stages: dict[str, float]
    cpu: dict[str, dict[str, float]]
    peaks: dict[str, int]
    money: dict[str, tuple[str, str, str]]

    def cpu_of(self, group: str, *, stage: str = "") -> float:
        """Return the processor seconds of a group, in one state or in all."""
        return sum(used.get(group, 0.0) for name, used in self.cpu.items() if stage in {"", name})

    @property
    def cpu_seconds(self) -> float:
        return sum(sum(used.values()) for used in self.cpu.values())

    def peak_of(self, group: str) -> int:
        """Return the largest peak among the processes of a group."""
        return max(p for name, p in self.peaks.items() if GROUPS.get(name, "others") == group)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A mesh that serves, and the key of its only tenant."""

    state: State
    key: str

    def run(self, pipeline: Pipeline, expected: Expected) -> Ran:
        """Run `pipeline`, check receipt and table against `expected`, and return what it took.

        A run that is held for the money that is expected in its quarantine is approved at once.

        Raises:
            WrongRun: It ended otherwise, or a count or sum differs.
        """
        ran, run = asyncio.run(self._run(pipeline, approve=bool(expected.quarantined)))
        _check(run, expected)
        self._check_table(pipeline, run.receipt)
        return ran

    async def _run(self, pipeline: Pipeline, *, approve: bool) -> tuple[Ran, Run]:
        parent = f"tenants/{TENANT}/pipelines/{pipeline.id}"
        stages: dict[str, float] = defaultdict(float)
        cpu: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        async with AsyncClient(self.state.addresses()["edge"], self.key) as client:
            began = last = time.monotonic()
            used = self._cpu()
            run = await client.runs.start(parent)
            state = run.state
            async for seen in client.runs.watch(run.name):
                run = seen.run
                if run.state == state:
                    continue
                name = RunState.Name(state).removeprefix("RUN_STATE_")
                now, used_now = time.monotonic(), self._cpu()
                stages[name] += now - last
                for group, seconds in used_now.items():
                    cpu[name][group] += seconds - used[group]
                last, used, state = now, used_now, run.state
            if state == RunState.RUN_STATE_HELD and approve:
                await client.runs.approve(run.name, reason="what the source holds")
                run = await client.runs.wait(run.name)
        ran = Ran(
            rows=run.receipt.read_row_count,
            seconds=last - began,
            chunks=run.receipt.chunk_count,
            stages=dict(stages),
            cpu={name: dict(groups) for name, groups in cpu.items()},
            peaks={name: peak_bytes(pid) for name, pid in self.pids().items()},
            money={m.column: (m.read, m.landed, m.quarantined) for m in run.receipt.money},
        )
        return ran, run

    def pids(self) -> dict[str, int]:
        """Return the process ids of the mesh by name."""
        pids = {one.name: one.identity.pid for one in self.state.processes if one.identity}
        return pids | {"supervisor": self.state.supervisor.pid}

    def _cpu(self) -> dict[str, float]:
        used: dict[str, float] = defaultdict(float)
        for name, pid in self.pids().items():
            used[GROUPS.get(name, "others")] += cpu_seconds(pid)
        return used

    def _check_table(self, pipeline: Pipeline, receipt: Receipt) -> None:
        """Ask the table itself: rows, and sums of money as the receipt has them."""
        sums = ", ".join(f"CAST(SUM({m.column}) AS STRING)" for m in receipt.money)
        client = bigquery.Client(
            project="local",
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options={"api_endpoint": f"http://{self.state.addresses()['bigquery_rest']}"},
        )
        asked = f"SELECT COUNT(*), {sums} FROM {pipeline.table}"
        with contextlib.closing(client):
            [row] = list(client.query(asked).result())
        found = [Decimal(row[0]), *(Decimal(text or 0) for text in row[1:])]
        said = [Decimal(receipt.landed_row_count), *(Decimal(m.landed) for m in receipt.money)]
        if found != said:
            raise WrongRun(f"{pipeline.table} holds {found}, the receipt says {said}")


@contextlib.contextmanager
def mesh(name: str, pipelines: Sequence[Pipeline]) -> Iterator[Mesh]:
    """Start a mesh in a new folder, its tenant with `pipelines`; stop it and delete the folder."""
    folder = FOLDER / "meshes" / name
    shutil.rmtree(folder, ignore_errors=True)
    wish = lifecycle.Wish(folder=folder / "state", configs=folder / "configs", port=0)
    write(wish.configs, pipelines)
    state = lifecycle.start(wish)
    try:
        platform_key = neighbours.initialise(state)
        yield Mesh(state=state, key=asyncio.run(_create(state, platform_key)))
    finally:
        lifecycle.stop(wish.folder)
        _keep_logs(folder)


def _keep_logs(folder: Path) -> None:
    logs = FOLDER / "logs" / folder.name
    shutil.rmtree(logs, ignore_errors=True)
    shutil.copytree(folder / "state" / "logs", logs)
    shutil.rmtree(folder, ignore_errors=True)


async def _create(state: State, platform_key: str) -> str:
    async with AsyncClient(state.addresses()["edge"], platform_key) as platform:
        await platform.tenants.create(TENANT, Tenant(display_name="Bench"))
        return (await platform.keys.create(f"tenants/{TENANT}", description="bench")).secret


def _check(run: Run, expected: Expected) -> None:
    receipt = run.receipt
    if run.state != RunState.RUN_STATE_SUCCEEDED:
        why = run.failure.message or "; ".join(run.hold_reasons)
        raise WrongRun(f"{run.name} is {RunState.Name(run.state)}: {why}")
    counts = (receipt.read_row_count, receipt.landed_row_count, receipt.quarantined_row_count)
    wanted = (expected.rows, expected.rows - expected.quarantined, expected.quarantined)
    if counts != wanted:
        raise WrongRun(f"{run.name} read, landed, quarantined {counts}; the source has {wanted}")
    for money in receipt.money:
        with decimal.localcontext(prec=DIGITS):
            total = Decimal(money.landed) + Decimal(money.quarantined)
        if not total == Decimal(money.read) == expected.sums[money.column]:
            raise WrongRun(
                f"{run.name}: {money.column} landed + quarantined {total}, read {money.read}, "
                f"source {expected.sums[money.column]}"
            )
    if {money.column for money in receipt.money} != set(expected.sums):
        raise WrongRun(f"{run.name} sums {[m.column for m in receipt.money]}")

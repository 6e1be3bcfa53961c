"""`python -m bench.first_contact`: what a newcomer waits for, and what an idle mesh costs.

Writes `bench/results/first_contact.json` and the table between the marks in README.md.
"""

import asyncio
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from convergence.auth.v1 import auth_service_pb2, auth_service_pb2_grpc
from convergence.orchestrator.v1.run_pb2 import RunState

from bench.machine import described, proportional_bytes, resident_bytes
from libs.client import AsyncClient
from libs.common.channel import open_channel
from libs.local.demo import neighbours, tenants
from libs.local.mesh import lifecycle
from libs.local.mesh.plans import ROOT
from libs.local.mesh.states import State

RESULT: Final = ROOT / "bench" / "results" / "first_contact.json"
README: Final = ROOT / "README.md"
MARKS: Final = ("<!-- figures: make bench -->\n", "<!-- end of figures -->")
RUNS: Final = 10
STARTS: Final = 3
CALLS: Final = 2000
IDLE_SECONDS: Final = 5.0
MIB: Final = 2**20


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value beside what was promised; `value` and `bar` in `unit`."""

    what: str
    value: float
    unit: str
    bar: float | None = None


def main() -> int:
    """Measure everything; return 1 if a figure is above its bar."""
    figures = [*_mesh(), *_demo()]
    RESULT.parent.mkdir(exist_ok=True)
    result = {"machine": described(), "figures": [dataclasses.asdict(one) for one in figures]}
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    table = _table(figures)
    before, _, rest = README.read_text().partition(MARKS[0])
    README.write_text(before + MARKS[0] + table + MARKS[1] + rest.partition(MARKS[1])[2])
    print(table)
    return int(any(one.bar is not None and one.value > one.bar for one in figures))


def _demo() -> list[Figure]:
    began = time.monotonic()
    command = [sys.executable, "-m", "libs.local.demo"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    took = time.monotonic() - began
    return [Figure(what="`make demo`, once installed", value=took, unit="s", bar=45)]


def _mesh() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="convergence-bench-") as folder:
        starts = [_start(Path(folder) / str(number)) for number in range(STARTS)]
        figures = [
            Figure(
                what="`convergence local up` until every health check serves",
                value=statistics.median(starts),
                unit="s",
                bar=8,
            )
        ]
        wish = _wish(Path(folder) / "mesh")
        with neighbours.openai(Path(folder) / "openai.log") as openai:
            tenants.write_files(wish.configs, openai, tenants.BILL)
        state = lifecycle.start(wish)
        try:
            time.sleep(IDLE_SECONDS)
            figures += _memory(state)
            platform_key = neighbours.initialise(state)
            figures += asyncio.run(_calls(state, platform_key))
        finally:
            lifecycle.stop(wish.folder)
    return figures


def _wish(folder: Path) -> lifecycle.Wish:
    return lifecycle.Wish(folder=folder, configs=folder.parent / "configs", port=0)


def _start(folder: Path) -> float:
    wish = _wish(folder)
    wish.configs.mkdir(exist_ok=True)
    began = time.monotonic()
    lifecycle.start(wish)
    took = time.monotonic() - began
    lifecycle.stop(wish.folder)
    return took


def _memory(state: State) -> list[Figure]:
    """Return what all processes of the mesh hold, its supervisor included."""
    pids = [one.identity.pid for one in state.processes if one.identity] + [state.supervisor.pid]
    resident = sum(map(resident_bytes, pids)) / MIB
    proportional = sum(map(proportional_bytes, pids)) / MIB
    what = f"memory of the idle local mesh, {len(pids)} processes"
    return [
        Figure(
            what=f"resident {what}, shared pages counted once a process",
            value=resident,
            unit="MiB",
            bar=1.2e9 / MIB,
        ),
        Figure(what=f"{what}, shared pages in parts", value=proportional, unit="MiB"),
    ]


async def _calls(state: State, platform_key: str) -> list[Figure]:
    at = state.addresses()
    acme = tenants.TENANTS[0]
    async with AsyncClient(at["edge"], platform_key) as platform:
        key = await tenants.create(platform, acme)
    async with AsyncClient(at["edge"], key) as client:
        runs = [await _seconds(lambda: _run(client, acme)) for _ in range(RUNS)]
    async with _authenticating(at["auth"], key) as call:
        for _ in range(CALLS // 10):
            await call()
        calls = [await _seconds(call) for _ in range(CALLS)]
    return [
        Figure(
            what=f"CreateRun → SUCCEEDED, the 1,000-row bill with its transform, median of {RUNS}",
            value=statistics.median(runs),
            unit="s",
            bar=3,
        ),
        Figure(
            what="Authenticate with a known key over the socket, p50",
            value=statistics.median(calls) * 1000,
            unit="ms",
            bar=1,
        ),
    ]


async def _run(client: AsyncClient, tenant: tenants.DemoTenant) -> None:
    run = await client.runs.start_and_wait(
        f"{tenant.name}/pipelines/{tenants.BILL_PIPELINE}", reload=True
    )
    if run.state != RunState.RUN_STATE_SUCCEEDED:
        raise RuntimeError(f"{run.name} is {RunState.Name(run.state)}: {run.failure.message}")


@asynccontextmanager
async def _authenticating(
    address: str, key: str
) -> AsyncGenerator[Callable[[], Awaitable[object]]]:
    request = auth_service_pb2.AuthenticateRequest(api_key=key, audience="orchestrator")
    async with open_channel(address) as channel:
        stub = auth_service_pb2_grpc.AuthServiceStub(channel)
        yield lambda: stub.Authenticate(request)


async def _seconds(call: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await call()
    return time.perf_counter() - began


def _table(figures: list[Figure]) -> str:
    lines = ["| What | Measured | Bar |", "| --- | --- | --- |"]
    for one in figures:
        bar = f"≤ {one.bar:,.3g} {one.unit}" if one.bar and one.bar < 1000 else ""
        bar = bar or (f"≤ {one.bar:,.0f} {one.unit}" if one.bar else "")
        lines.append(f"| {one.what} | {_number(one.value)} {one.unit} | {bar} |")
    return "\n".join([*lines, "", f"Measured by `make bench` on {described()}.", ""])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main())

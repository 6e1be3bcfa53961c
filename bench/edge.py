"""`python -m bench.edge`: what the orchestrator's edge takes: GetRun a second on one core, and what it adds.

A mesh; its orchestrator is pinned to one core, one caller in a process of its own (`bench/asking.py`)
to the other. What auth, limits and telemetry add is the time of GetRun beside that of a health check,
which none of them sees: so the work of GetRun itself counts as added too. Prints a table; `--write`
puts it into docs/performance.md.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench.asking import WARM
from bench.data import FOLDER
from bench.figures import Figure
from bench.machine import cpu_seconds
from bench.pages import report
from bench.runs import Mesh, mesh
from bench.sections import tiny_files
from bench.tenants import TENANT, Pipeline
from libs.client import AsyncClient

TRACED: Final = {
    "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
    "OTEL_TRACES_SAMPLER_ARG": "0.01",
    "CONVERGENCE_ORCHESTRATOR_OTLP_ENDPOINT": "127.0.0.1:9",
    "CONVERGENCE_ORCHESTRATOR_CALLS_PER_SECOND": "1000000",
}
"""One trace in a hundred, to a collector that nobody runs; a limit that is asked and never reached."""


def measured(seconds: float) -> list[Figure]:
    """Ask for one run again and again, at first one call at a time, then many at once."""
    files, _ = tiny_files(1)
    with traced(), mesh("edge", [Pipeline(id="tiny", files=files, format="csv")]) as up:
        name = asyncio.run(made(up))
        orchestrator = up.pids()["orchestrator"]
        os.sched_setaffinity(orchestrator, {0})
        for thread in Path(f"/proc/{orchestrator}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {0})
        alone = asked(up, name, seconds, at_once=1, calls=("health", "run"))
        before = cpu_seconds(orchestrator)
        crowd = asked(up, name, seconds, at_once=48, calls=("run",))
        share = (cpu_seconds(orchestrator) - before) / (seconds + WARM)
    added = {part: alone[f"run_{part}"] - alone[f"health_{part}"] for part in ("p50", "p99")}
    detail = ", ".join(
        f"{what} {alone[f'{what}_p50']:.2f} / {alone[f'{what}_p99']:.2f} ms"
        for what in ("run", "health")
    )
    return [
        *(
            Figure(
                what=f"call latency added by auth, limits and telemetry at the edge, {part}",
                value=value,
                unit="ms",
                bar={"p50": 1.5, "p99": 6.0}[part],
                detail=f"GetRun less a health check, one call at a time: {detail}",
            )
            for part, value in added.items()
        ),
        Figure(
            what="GetRun, one orchestrator on one core, traces sampled at 1 %",
            value=crowd["rate"],
            unit="/s",
            bar=1500,
            at_least=True,
            detail=f"{crowd['count']:,.0f} calls of 48 at once from another process; "
            f"{share:.0%} of its core was the orchestrator's: {share / crowd['rate'] * 1e6:.0f} µs a call",
        ),
    ]


@contextlib.contextmanager
def traced() -> Iterator[None]:
    """Let the mesh that is started in the block trace as a cluster does."""
    before = {name: os.environ.get(name) for name in TRACED}
    os.environ.update(TRACED)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


async def made(up: Mesh) -> str:
    async with AsyncClient(up.state.addresses()["orchestrator"], up.key) as client:
        run = await client.runs.start_and_wait(f"tenants/{TENANT}/pipelines/tiny")
        return run.name


def asked(
    up: Mesh, name: str, seconds: float, *, at_once: int, calls: Sequence[str]
) -> Mapping[str, float]:
    """Let a process ask for a while; return what it measured."""
    told: dict[str, Any] = {
        "address": up.state.addresses()["orchestrator"],
        "key": up.key,
        "name": name,
        "seconds": seconds,
        "at_once": at_once,
        "calls": list(calls),
    }
    done = subprocess.run(
        ["taskset", "-c", "1", sys.executable, "-P", "-m", "bench.asking", json.dumps(told)],
        capture_output=True,
        text=True,
        check=True,
    )
    found: Mapping[str, float] = json.loads(done.stdout)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.edge", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part")
    parser.add_argument("--write", action="store_true", help="put the table into its page")
    given = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    figures = measured(given.seconds)
    return report("bench.edge", figures, write=given.write)


if __name__ == "__main__":
    raise SystemExit(main())

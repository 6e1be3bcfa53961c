"""How long workers go on after CancelRun: asked of the workers themselves, over their own ports."""

import asyncio
import re
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Final

from convergence.orchestrator.v1.run_pb2 import Run, RunState

from bench.machine import cpu_seconds
from bench.runs import Mesh, WrongRun
from bench.tenants import TENANT, Pipeline
from libs.client import AsyncClient
from libs.local.mesh.plans import WORKERS

BUSY: Final = re.compile(r"^convergence_ingest_busy_slots (\S+)$", re.MULTILINE)
LOOK_SECONDS: Final = 0.02
GIVEN_UP_SECONDS: Final = 30.0
IDLE_SECONDS: Final = 0.25
"""A worker without a chunk is idle when it uses less than a twentieth of this much time."""


def stopped_reading(up: Mesh, pipeline: Pipeline, after: float) -> float:
    """Cancel a run `after` seconds of reading; return the seconds until no worker has a chunk of it.

    A worker has a chunk until the thread that reads it has ended.
    """
    return asyncio.run(_stopped(up, pipeline, _reading, after, _chunks_gone))


def stopped_planning(up: Mesh, pipeline: Pipeline, after: float) -> float:
    """Cancel a run `after` seconds of planning; return the seconds until the workers are idle."""
    return asyncio.run(_stopped(up, pipeline, _planned, after, _idle))


def _reading(run: Run) -> bool:
    return run.progress.running_chunk_count > 1


def _planned(run: Run) -> bool:
    return run.state == RunState.RUN_STATE_PLANNING


async def _stopped(
    up: Mesh,
    pipeline: Pipeline,
    begun: Callable[[Run], bool],
    after: float,
    gone: Callable[[Mesh, float], float],
) -> float:
    parent = f"tenants/{TENANT}/pipelines/{pipeline.id}"
    async with AsyncClient(up.state.addresses()["edge"], up.key) as client:
        run = await client.runs.start(parent)
        async for seen in client.runs.watch(run.name):
            if begun(seen.run):
                break
        await asyncio.sleep(after)
        busy = _busy(up)
        asked = time.monotonic()
        cancelling = asyncio.create_task(client.runs.cancel(run.name, reason="measured"))
        seconds = await asyncio.to_thread(gone, up, asked)
        await cancelling
        run = await client.runs.wait(run.name)
    if run.state != RunState.RUN_STATE_CANCELLED:
        raise WrongRun(f"{run.name} is {RunState.Name(run.state)} and not cancelled")
    if gone is _idle and run.progress.chunk_count:
        raise WrongRun(f"{run.name} was planned before it was cancelled")
    if gone is _chunks_gone and not busy:
        raise WrongRun(f"{run.name}: no worker had a chunk when it was cancelled")
    return seconds


def _chunks_gone(up: Mesh, asked: float) -> float:
    while _busy(up):
        _in_time(asked)
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - asked


def _idle(up: Mesh, asked: float) -> float:
    """Return when the workers had become idle: the beginning of the first idle span."""
    pids = [pid for name, pid in up.pids().items() if name in WORKERS]
    while True:
        began, used = time.monotonic(), sum(map(cpu_seconds, pids))
        time.sleep(IDLE_SECONDS)
        if sum(map(cpu_seconds, pids)) - used <= IDLE_SECONDS / 20:
            return began - asked
        _in_time(asked)


def _in_time(asked: float) -> None:
    if time.monotonic() - asked > GIVEN_UP_SECONDS:
        raise WrongRun(f"a worker still works {GIVEN_UP_SECONDS:g} s after the run was cancelled")


def _busy(up: Mesh) -> int:
    at: Mapping[str, str] = up.state.addresses()
    return sum(_slots(at[f"{name}_admin"]) for name in WORKERS)


def _slots(address: str) -> int:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        found = BUSY.search(answer.read().decode())
    assert found, f"{address} says nothing of busy slots"
    return int(float(found[1]))

"""A supervisor in this process, over processes that do as they are told."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from libs.local.mesh.plans import Mesh, Plan
from libs.local.mesh.states import State
from libs.local.mesh.supervisor import Supervisor

SLEEP = "import time; print('up', flush=True); time.sleep(600)"


def plan(name: str, code: str, *watched: str, **settings: str) -> Plan:
    """Return a process that runs `code` and is started anew when a `watched` folder changes."""
    command = (sys.executable, "-c", code)
    return Plan(name=name, command=command, settings=settings, addresses={}, code=watched)


async def until(folder: Path, claim: Callable[[State], bool]) -> State:
    """Return the first state written in `folder` of which `claim` is true."""
    async with asyncio.timeout(20):
        while True:
            state = State.read(folder)
            if state and claim(state):
                return state
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(folder: Path, *planned: Plan, dev: bool = False) -> AsyncGenerator[Supervisor]:
    """Supervise the processes while the block runs."""
    (folder / "logs").mkdir()
    mesh = Mesh(folder=folder, configs=folder, edge_port=0)
    stop = asyncio.Event()
    with (folder / "logs" / "mesh.log").open("a") as log:
        supervisor = Supervisor(mesh, log)
        task = asyncio.create_task(supervisor.run(planned, stop, dev=dev))
        try:
            yield supervisor
        finally:
            stop.set()
            await task

"""Owns the processes of a mesh: starts them, starts them again, stops them in order."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from libs.local.mesh.children import Child
from libs.local.mesh.identities import Identity, identity
from libs.local.mesh.plans import STOP_ORDER, Mesh, Plan, plans
from libs.local.mesh.ports import PortInUse, Reservations
from libs.local.mesh.states import State, locked


class Supervisor:
    """The processes of one mesh."""

    def __init__(self, mesh: Mesh, log: TextIO) -> None:
        own = identity(os.getpid())
        assert own is not None, "this process runs"
        self._mesh, self._log = mesh, log
        self._own: Identity = own
        self._children: dict[str, Child] = {}
        self._ready = False

    async def run(self, planned: Iterable[Plan], stop: asyncio.Event, *, dev: bool) -> None:
        """Keep all processes up until `stop`."""
        logs = self._mesh.folder / "logs"
        for plan in planned:
            log = logs / f"{plan.name}.log"
            self._children[plan.name] = Child(plan, log, note=self.note, changed=self._write)
        self._ready = True
        self._write()
        async with asyncio.TaskGroup() as tasks:
            for child in self._children.values():
                tasks.create_task(child.keep())
            watching = tasks.create_task(self._watch_code()) if dev else None
            await stop.wait()
            if watching:
                watching.cancel()
            await self._stop()
        self.note("mesh.stopped")

    def fail(self, why: str) -> None:
        """Leave word of why nothing was started."""
        self.note("mesh.refused", because=why)
        self._state(failure=why).write()

    async def reload(self, names: Iterable[str], why: str) -> None:
        """Start processes anew, because their code changed."""
        await asyncio.gather(*(self._children[name].reload(why) for name in names))

    def note(self, message: str, **facts: object) -> None:
        """Log one event of the mesh."""
        line = {"time": datetime.now(UTC).isoformat(), "message": message, **facts}
        print(json.dumps(line), file=self._log, flush=True)

    async def _stop(self) -> None:
        for names in STOP_ORDER:
            left = [self._children[name] for name in names if name in self._children]
            await asyncio.gather(*(child.stop() for child in left))

    async def _watch_code(self) -> None:
        from libs.local.mesh.reloading import changes  # noqa: PLC0415  (only development needs it)

        async for names, why in changes([child.plan for child in self._children.values()]):
            await self.reload(names, why)

    def _write(self) -> None:
        if self._ready:
            self._state().write()

    def _state(self, failure: str = "") -> State:
        return State(
            folder=str(self._mesh.folder),
            configs=str(self._mesh.configs),
            supervisor=self._own,
            processes=tuple(child.known for child in self._children.values()),
            failure=failure,
        )


async def supervise(mesh: Mesh, *, dev: bool) -> int:
    """Run the mesh until SIGTERM or SIGINT; return 1 if it cannot be started.

    Raises:
        AlreadyUp: Another supervisor holds the folder.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with contextlib.ExitStack() as held:
        held.enter_context(locked(mesh.folder))
        (mesh.folder / "logs").mkdir(exist_ok=True)
        log = held.enter_context((mesh.folder / "logs" / "mesh.log").open("a"))
        supervisor = Supervisor(mesh, log)
        ports = Reservations()
        held.callback(ports.close)
        try:
            _prepare(mesh)
            planned = plans(mesh, ports.take)
        except PortInUse as error:
            supervisor.fail(str(error))
            return 1
        except OSError as error:
            supervisor.fail(f"{error.filename} cannot be made or used: {error.strerror}")
            return 1
        await supervisor.run(planned, stop, dev=dev)
    return 0


def _prepare(mesh: Mesh) -> None:
    folders = ("logs", "data/bigquery", "keys", "orchestrator")
    for folder in (mesh.folder / name for name in folders):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    Path(mesh.configs).mkdir(parents=True, exist_ok=True)
    credential = mesh.folder / "keys" / "orchestrator_credential"
    if not credential.exists():
        descriptor = os.open(credential, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(os.urandom(32).hex())

"""One process that is started again when it ends by itself."""

import asyncio
import ctypes
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from libs.local.mesh.identities import identity
from libs.local.mesh.plans import Plan, import_path
from libs.local.mesh.states import Process

PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS: Final = 30.0
"""A process that ran for so long and ends is started again at once."""

STOP_SECONDS: Final = 8.0
PR_SET_PDEATHSIG: Final = 1

Note = Callable[..., None]


class Child:
    """Keeps one process up; `changed` is called with every change of what is known about it."""

    def __init__(self, plan: Plan, log: Path, *, note: Note, changed: Callable[[], None]) -> None:
        self.plan = plan
        self.known = Process(name=plan.name, addresses=dict(plan.addresses), log=str(log))
        self._note, self._changed = note, changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = self._reloading = False
        self._woken = asyncio.Event()

    async def keep(self) -> None:
        """Start the process, and start it again whenever it ends, until `stop`."""
        failures = 0
        while not self._stopping:
            began = time.monotonic()
            code = await self._once()
            if self._stopping:
                break
            if self._reloading:
                self._reloading, failures = False, 0
                continue
            failures = 1 if time.monotonic() - began > STEADY_SECONDS else failures + 1
            pause = PAUSES[min(failures, len(PAUSES)) - 1]
            self._note("process.died", process=self.plan.name, how=_how(code), again_in=pause)
            at = time.strftime("%H:%M:%S")
            self._know(
                phase="waiting",
                identity=None,
                last_exit=f"{_how(code)} at {at}",
                restarts=self.known.restarts + 1,
            )
            await self._pause(pause)
        self._know(phase="stopped", identity=None)

    async def stop(self) -> None:
        """End the process: SIGTERM, then SIGKILL after a while."""
        self._stopping = True
        self._woken.set()
        await self._end()

    async def reload(self, why: str) -> None:
        """End the process so that it is started again with new code; one that waits starts at once."""
        self._reloading = self._process is not None and self._process.returncode is None
        self._note("process.reloaded", process=self.plan.name, because=why)
        self._woken.set()
        await self._end()

    async def _once(self) -> int:
        with Path(self.known.log).open("ab") as log:  # noqa: ASYNC230  (appending to a local file)
            self._process = await asyncio.create_subprocess_exec(
                *self.plan.command,
                env={**os.environ, **self.plan.settings, **SHARED, "PYTHONPATH": import_path()},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent(os.getpid()),
            )
        self._know(phase="running", identity=identity(self._process.pid))
        self._note("process.started", process=self.plan.name, pid=self._process.pid)
        return await self._process.wait()

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._note("process.killed", process=self.plan.name, after=STOP_SECONDS)
            process.kill()
            await process.wait()

    async def _pause(self, seconds: float) -> None:
        self._woken.clear()
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return

    def _know(self, **changes: object) -> None:
        self.known = dataclasses.replace(self.known, **changes)  # type: ignore[arg-type]
        self._changed()


SHARED: Final = {
    "PYTHONUNBUFFERED": "1",
    "MALLOC_ARENA_MAX": "2",
    "OPENBLAS_NUM_THREADS": "1",
}
"""Logs appear at once; few memory arenas and no threads for algebra, which nobody does here."""


def _how(code: int) -> str:
    if code >= 0:
        return f"exited with status {code}"
    return f"killed by {signal.Signals(-code).name}"


def _end_with_parent(parent: int) -> Callable[[], None] | None:
    """Return what makes a child end when its supervisor is killed, where the system can do that."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)

    def ask() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return ask

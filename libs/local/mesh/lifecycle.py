"""Starts a mesh and waits until it serves; stops it and makes sure that nothing is left."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from libs.local.mesh.health import SERVING, check
from libs.local.mesh.identities import Identity
from libs.local.mesh.plans import STOP_ORDER, engine_python, import_path
from libs.local.mesh.states import State, locked

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
ORPHAN_SECONDS: Final = 8.0
POLL_SECONDS: Final = 0.1
HOPELESS_RESTARTS: Final = 5
"""A process that has died so often before it ever served is not waited for."""

LOG_LINES: Final = 8


class NotStarted(Exception):
    """The mesh could not be started; the text says why and what to do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of `local up`."""

    folder: Path
    configs: Path
    port: int
    dev: bool = False


Seen = Callable[[State, Mapping[str, str]], None]


def start(wish: Wish, *, seen: Seen = lambda _state, _health: None) -> State:
    """Start the mesh and return its state once every health check serves.

    Args:
        wish: Where, and with which options.
        seen: Called with the state and the health by process name while waiting.

    Raises:
        AlreadyUp: A mesh is up in the folder.
        NotStarted: It could not be started; nothing is left running.
        KeyboardInterrupt: Ctrl-C or SIGTERM came while it started; nothing is left running.
    """
    if not Path(engine_python()).is_file():
        raise NotStarted(
            f"the embedded BigQuery's environment is missing: no {engine_python()}; run `make setup`"
        )
    with locked(wish.folder):
        stop(wish.folder)
        (wish.folder / "state.json").unlink(missing_ok=True)
    supervisor = _spawn(wish)
    state = None
    try:
        state = asyncio.run(_unless_ended(_serving(wish, supervisor, seen)))
    finally:
        if state is None:
            _end(supervisor)
            stop(wish.folder)
    if state is None:
        raise KeyboardInterrupt
    return state


def stop(folder: Path) -> list[str]:
    """Stop the mesh of `folder`; return the names of the processes that ran, empty if none did."""
    state = State.read(folder)
    if state is None:
        return []
    running = {
        one.name: one.identity for one in state.processes if one.identity and one.identity.alive()
    }
    if state.supervisor.signal(signal.SIGTERM) and not _gone([state.supervisor], STOP_SECONDS):
        state.supervisor.signal(signal.SIGKILL)
    for names in STOP_ORDER:
        left = [found for name in names if (found := running.get(name))]
        for process in left:
            process.signal(signal.SIGTERM)
        if not _gone(left, ORPHAN_SECONDS):
            for process in left:
                process.signal(signal.SIGKILL)
            _gone(left, ORPHAN_SECONDS)
    return [name for names in STOP_ORDER for name in names if name in running]


def tail(log: str, lines: int = LOG_LINES) -> str:
    """Return the last lines of a log, empty if there is none."""
    try:
        return "\n".join(Path(log).read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""


def _spawn(wish: Wish) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "libs.local.mesh"]
    command += ["--state", str(wish.folder), "--configs", str(wish.configs)]
    command += ["--port", str(wish.port), *(["--dev"] if wish.dev else [])]
    log = wish.folder / "logs" / "supervisor.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": import_path()},
        )


async def _unless_ended(work: Coroutine[Any, Any, State]) -> State | None:
    """Return what `work` returns, None if SIGTERM ended it: between two steps, as gRPC needs it."""
    task = asyncio.ensure_future(work)
    if threading.current_thread() is not threading.main_thread():
        return await task
    ended = asyncio.Event()

    def end() -> None:
        ended.set()
        task.cancel()

    before = signal.getsignal(signal.SIGTERM)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    try:
        return await task
    except asyncio.CancelledError:
        if not ended.is_set():
            raise
        return None
    finally:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
        signal.signal(signal.SIGTERM, before)


async def _serving(wish: Wish, supervisor: subprocess.Popen[bytes], seen: Seen) -> State:
    until = time.monotonic() + START_SECONDS
    while True:
        ended = supervisor.poll() is not None
        state = State.read(wish.folder)
        if state and state.failure:
            raise NotStarted(state.failure)
        if ended:
            raise NotStarted(_ended(wish.folder, supervisor.returncode))
        if state and state.processes:
            health = await check(state.processes)
            seen(state, health)
            if all(answer == SERVING for answer in health.values()):
                return state
            _give_up_on(state, health, late=time.monotonic() > until)
        elif time.monotonic() > until:
            raise NotStarted(_ended(wish.folder, supervisor.returncode))
        await asyncio.sleep(POLL_SECONDS)


def _give_up_on(state: State, health: Mapping[str, str], *, late: bool) -> None:
    for process in state.processes:
        hopeless = process.restarts >= HOPELESS_RESTARTS
        if health[process.name] != SERVING and (hopeless or late):
            how = process.last_exit or f"runs but is {health[process.name]}"
            said = tail(process.log)
            raise NotStarted(
                f"{process.name} does not serve ({how}); its log {process.log} ends:\n{said}"
            )


def _ended(folder: Path, status: int | None) -> str:
    if status == 0:
        return "somebody stopped the mesh while it started; start it again"
    log = folder / "logs" / "supervisor.log"
    return f"the supervisor did not start; its log {log} ends:\n{tail(str(log))}"


def _end(supervisor: subprocess.Popen[bytes]) -> None:
    if supervisor.poll() is None:
        supervisor.terminate()
        try:
            supervisor.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()


def _gone(processes: Iterable[Identity], seconds: float) -> bool:
    left, until = list(processes), time.monotonic() + seconds
    while left := [process for process in left if process.alive()]:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True

"""The mesh of a campaign as processes: started, initialised, stopped, and what is left of it."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from convergence.auth.v1.tenant_pb2 import Tenant

from libs.client import AsyncClient
from libs.client.config_tree import lay_out
from libs.local.demo import neighbours
from libs.local.mesh.health import SERVING, check
from libs.local.mesh.identities import Identity
from libs.local.mesh.plans import import_path
from libs.local.mesh.states import Process, State
from tests.faults import mesh
from tests.faults.nemesis import set_clock
from tests.faults.robbery import leading
from tests.faults.wire import Wire

START_SECONDS = 120.0
STOP_SECONDS = 60.0
SKEW = Path(__file__).with_name("skew.c")


@dataclasses.dataclass(slots=True, kw_only=True)
class Running:
    """A mesh that serves."""

    spec: mesh.Spec
    platform_key: str

    @property
    def folder(self) -> Path:
        return Path(self.spec.folder)

    def state(self) -> State:
        found = State.read(self.folder)
        assert found is not None
        return found

    @property
    def edge(self) -> str:
        return self.state().addresses()["edge"]

    async def tenants(self, names: Sequence[str]) -> dict[str, str]:
        """Create tenants; return their keys."""
        keys = {}
        async with AsyncClient(self.edge, self.platform_key) as platform:
            for name in names:
                lay_out(Path(self.spec.configs), name)
                limits = Tenant(display_name=name)
                await platform.tenants.create(name, limits)
                made = await platform.keys.create(f"tenants/{name}", description="faults")
                keys[name] = made.secret
        return keys

    async def serving(self, seconds: float) -> list[str]:
        """Wait until every process serves; return those that do not."""
        until = time.monotonic() + seconds
        while True:
            health = await check(self.state().processes)
            ill = [name for name, answer in health.items() if answer != SERVING]
            ill = [name for name in ill if name != mesh.STANDBY]
            if not ill or time.monotonic() > until:
                return ill
            await asyncio.sleep(0.2)


def preloaded(folder: Path) -> str:
    """Compile what shifts a worker's clock; return the library."""
    library = folder / "skew.so"
    command = ["cc", "-shared", "-fPIC", "-O2", "-o", str(library), str(SKEW), "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return str(library)


@contextlib.asynccontextmanager
async def running(
    wire: Wire,
    folder: Path,
    *,
    mutant: str = "",
    standby: bool = True,
    kubeconfig: str = "",
    discovered: bool = False,
) -> AsyncGenerator[Running]:
    """Run the mesh behind `wire`; it is stopped when the block ends."""
    home, configs = folder / "mesh", folder / "configs"
    home.mkdir(parents=True)
    configs.mkdir()
    spec = mesh.Spec(
        folder=str(home),
        configs=str(configs),
        links=wire.addresses(),
        mutant=mutant,
        standby=standby,
        kubeconfig=kubeconfig,
        discovered=discovered,
        preload=await asyncio.to_thread(preloaded, folder),
    )
    for worker in mesh.WORKERS:
        set_clock(spec, worker, 0)
    file = folder / "spec.json"
    file.write_text(json.dumps(dataclasses.asdict(spec)))
    (home / "logs").mkdir()
    with (home / "logs" / "supervisor.log").open("wb") as log:
        supervisor = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tests.faults.mesh", str(file)),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": import_path(), "FAULTS_FOLDER": str(folder)},
        )
    try:
        await _up(wire, home, supervisor)
        state = State.read(home)
        assert state is not None
        key = await asyncio.to_thread(neighbours.initialise, state)
        made = Running(spec=spec, platform_key=key)
        wire.leader = lambda: _leader(made)
        yield made
    finally:
        if supervisor.returncode is None:
            supervisor.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(supervisor.wait(), STOP_SECONDS)
            except TimeoutError:
                supervisor.kill()


def _leader(running_: Running) -> str | None:
    found = leading(running_.spec, running_.state())
    return found.addresses["grpc"] if found else None


async def _up(wire: Wire, home: Path, supervisor: asyncio.subprocess.Process) -> None:
    """Wait for the state, and for BigQuery to answer."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and supervisor.returncode is None:
        state = State.read(home)
        if state is not None and state.processes:
            wire.state = state
            health = await check([one for one in state.processes if one.name == "bigquery"])
            if health["bigquery"] == SERVING:
                return
        await asyncio.sleep(0.1)
    log = (home / "logs" / "supervisor.log").read_text()
    raise AssertionError(f"the mesh did not start:\n{log[-2000:]}")


def say_where(process: Process) -> None:
    """Have a process write where its threads are into its log, if it listens for that."""
    if process.identity is None:
        return
    with contextlib.suppress(OSError, StopIteration):
        status = Path(f"/proc/{process.identity.pid}/status").read_text().splitlines()
        caught = next(line for line in status if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1:
            process.identity.signal(signal.SIGUSR1)


def left_behind(folder: Path, *, among: Sequence[Identity] = ()) -> list[str]:
    """Return the commands of processes of a campaign's mesh that are still there."""
    found = []
    sign = f"FAULTS_FOLDER={folder}".encode()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if sign in (process / "environ").read_bytes().split(b"\0"):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if int(process.name) not in {one.pid for one in among}:
                    found.append(f"{process.name} {command.strip()}")
    return found


def end(found: Sequence[str]) -> None:
    """End processes that `left_behind` has named."""
    for line in found:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(line.partition(" ")[0]), signal.SIGKILL)

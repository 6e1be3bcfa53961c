"""`python -m tests.faults.mesh SPEC`: the local mesh with a standby, its calls led through links.

Everything else is `convergence local`'s own: plans, supervisor, state file, logs.
"""

import asyncio
import contextlib
import dataclasses
import json
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from libs.local.mesh.plans import Mesh, Plan, plans
from libs.local.mesh.ports import Reservations
from libs.local.mesh.states import locked
from libs.local.mesh.supervisor import Supervisor, _prepare
from tests.faults.kinds import BIGQUERY, ORCHESTRATOR, WORKER

STANDBY: Final = "standby"
WORKERS: Final = ("ingest-1", "ingest-2")
ORCHESTRATORS: Final = ("orchestrator", STANDBY)
SERVICES: Final = (*ORCHESTRATORS, *WORKERS, "quality", "auth")
PROCESSES: Final = (*SERVICES, "bigquery", "edge")
LINKS: Final = ("auth", "quality", *WORKERS, "orchestrator", "bigquery_rest", "bigquery_grpc")


def members() -> Iterator[tuple[str, str, bool]]:
    """Yield each process and link: its name, what it is to the others, and whether it is a link."""
    roles = {**dict.fromkeys(ORCHESTRATORS, ORCHESTRATOR), **dict.fromkeys(WORKERS, WORKER)}
    roles |= {"bigquery_rest": BIGQUERY, "bigquery_grpc": BIGQUERY}
    for name in dict.fromkeys((*PROCESSES, *LINKS)):
        yield name, roles.get(name, name), name not in PROCESSES


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """How to start the mesh of a campaign."""

    folder: str
    configs: str
    links: Mapping[str, str]
    """Address of the link by what is behind it: `auth`, `quality`, `ingest-1`, `bigquery_rest` …"""
    mutant: str = ""
    preload: str = ""
    """Library that shifts a worker's clock; empty for none."""
    standby: bool = True
    """Whether a second orchestrator stands by."""
    kubeconfig: str = ""
    """Where the API server is whose Lease elects the orchestrator; empty: a lock file does."""
    discovered: bool = False
    """Whether workers are found by EndpointSlices at that API server."""

    def skew(self, worker: str) -> Path:
        """Return the file that says by how much a worker's clock is shifted."""
        return Path(self.folder) / f"{worker}.skew"


class _Supervisor(Supervisor):
    async def _stop(self) -> None:
        if STANDBY in self._children:
            await self._children[STANDBY].stop()
        await super()._stop()


def planned(spec: Spec, take: Any) -> list[Plan]:
    """Return the mesh's plans, every address that a process calls replaced by its link's."""
    mesh = Mesh(folder=Path(spec.folder), configs=Path(spec.configs), edge_port=0)
    made = list(plans(mesh, take))
    named = {plan.name: plan for plan in made}
    links = {
        named[name].addresses["grpc"]: spec.links[name]
        for name in ("auth", "quality", *WORKERS, "orchestrator")
    }
    for use in ("rest", "grpc"):
        links[named["bigquery"].addresses[use]] = spec.links[f"bigquery_{use}"]
    if spec.standby:
        made.insert(made.index(named["orchestrator"]) + 1, _standby(named["orchestrator"], take))
    return [_started(spec, _led(plan, links)) for plan in made]


def _standby(leader: Plan, take: Any) -> Plan:
    addresses = {use: take(0) for use in leader.addresses}
    prefix = "CONVERGENCE_ORCHESTRATOR_"
    own = {f"{prefix}LISTEN": addresses["grpc"], f"{prefix}ADMIN_LISTEN": addresses["admin"]}
    return dataclasses.replace(
        leader, name=STANDBY, settings={**leader.settings, **own}, addresses=addresses
    )


def _led(plan: Plan, links: Mapping[str, str]) -> Plan:
    def led(text: str) -> str:
        for address, link in links.items():
            text = text.replace(address, link)
        return text

    settings = {
        name: value if name.endswith("LISTEN") else led(value)
        for name, value in plan.settings.items()
    }
    command = plan.command if plan.name == "bigquery" else tuple(map(led, plan.command))
    return dataclasses.replace(plan, settings=settings, command=command)


def _started(spec: Spec, plan: Plan) -> Plan:
    """Start a process through `tests.faults.start` when there is a mutant, with a clock that can be shifted."""
    settings, command = dict(plan.settings), plan.command
    if spec.kubeconfig and plan.name in ORCHESTRATORS:
        lease = f"kubernetes://default/faults-orchestrator?pod={plan.name}"
        settings |= {"CONVERGENCE_ORCHESTRATOR_LEASE": lease, "KUBECONFIG": spec.kubeconfig}
        if spec.discovered:
            workers = "kubernetes://default/faults-ingest"
            settings |= {"CONVERGENCE_ORCHESTRATOR_WORKERS": workers}
        at = command.index("-m") + 1
        command = (*command[:at], "tests.faults.pod", *command[at:])
    if spec.mutant:
        at = command.index("-m") + 1
        command = (*command[:at], "tests.faults.start", spec.mutant, *command[at:])
    if spec.preload and plan.name in WORKERS:
        settings |= {"LD_PRELOAD": spec.preload, "FAULTS_SKEW": str(spec.skew(plan.name))}
    return dataclasses.replace(plan, settings=settings, command=command)


async def supervise(spec: Spec) -> None:
    """Keep the mesh up until SIGTERM."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    folder = Path(spec.folder)
    with contextlib.ExitStack() as held:
        held.enter_context(locked(folder))
        mesh = Mesh(folder=folder, configs=Path(spec.configs), edge_port=0)
        _prepare(mesh)
        log = held.enter_context((folder / "logs" / "mesh.log").open("a"))
        ports = Reservations()
        held.callback(ports.close)
        await _Supervisor(mesh, log).run(planned(spec, ports.take), stop, dev=False)


if __name__ == "__main__":
    asyncio.run(supervise(Spec(**json.loads(Path(sys.argv[1]).read_text()))))

"""How a local mesh is shown: its processes, where it serves, what to do next."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from libs.client.addresses import DEFAULT
from libs.client.cli import output
from libs.local.mesh.states import PROJECT, Process, State

FOLDER: Final = ".convergence"
CONFIGS: Final = "configs"


def edge(state: State) -> str:
    """Return the address that clients call."""
    return f"localhost:{state.addresses()['edge'].rpartition(':')[2]}"


def as_json(state: State | None, health: Mapping[str, str]) -> dict[str, Any]:
    """Return a mesh for programs; None is one that is not up."""
    if state is None:
        return {"up": False, "project_id": PROJECT, "processes": []}
    return {
        "up": True,
        "project_id": PROJECT,
        "state": state.folder,
        "configs": state.configs,
        "supervisor": {"pid": state.supervisor.pid, "log": f"{state.folder}/logs/mesh.log"},
        "addresses": {**state.addresses(), "edge": edge(state)},
        "processes": [
            {
                "name": one.name,
                "pid": one.identity.pid if one.identity else None,
                "phase": one.phase,
                "health": health.get(one.name, ""),
                "restarts": one.restarts,
                "last_exit": one.last_exit,
                "addresses": dict(one.addresses),
                "log": one.log,
            }
            for one in state.processes
        ],
    }


def show(state: State, health: Mapping[str, str]) -> None:
    """Print a mesh for people."""
    pairs = {
        "edge": edge(state),
        "project": PROJECT,
        "state": state.folder,
        "configs": state.configs,
        "supervisor": f"pid {state.supervisor.pid}",
        "logs": f"{state.folder}/logs/",
    }
    console = output.console()
    console.print(output.facts(pairs))
    console.print()
    again = any(one.restarts for one in state.processes)
    columns = ("process", "pid", "health", *(["started again"] if again else []), "addresses")
    rows = [_row(one, health.get(one.name, ""), again=again) for one in state.processes]
    console.print(output.table(rows, *columns, right=["pid"], prose=["addresses"]))


def _row(process: Process, health: str, *, again: bool) -> tuple[str, ...]:
    pid = str(process.identity.pid) if process.identity else process.phase
    ended = f"{process.restarts}, last {process.last_exit}" if process.restarts else ""
    addresses = ", ".join(f"{use} {at}" for use, at in process.addresses.items())
    return (process.name, pid, health, *([ended] if again else []), addresses)


def next_steps(state: State, *, init: bool) -> Iterator[str]:
    """Yield lines with what to do with a mesh that has just been started."""
    at, address = at_state(Path(state.folder)), edge(state)
    steps = {
        f"convergence admin init{at}": "metadata and the platform key, shown once",
        f"convergence tenants create acme_corp{_at_configs(Path(state.configs))}": (
            "a tenant, its files, its key"
        ),
        f"grpcurl -plaintext {address} list": "the services that tenants see",
        f"convergence local status{at}": "addresses, health and logs",
        f"convergence local down{at}": "stop it; its data stays",
    }
    if init:
        del steps[f"convergence admin init{at}"]
    width = max(map(len, steps))
    yield "\nnext:"
    if address != DEFAULT:
        yield f"  export CONVERGENCE_ADDRESS={address}"
    for command, why in steps.items():
        yield f"  {command:{width}}  {why}"


def at_state(folder: Path) -> str:
    """Return the option that names `folder`, empty where it is the default."""
    return "" if folder == Path(FOLDER).resolve() else f" --state {folder}"


def _at_configs(folder: Path) -> str:
    return "" if folder == Path(CONFIGS).resolve() else f" --configs {folder}"

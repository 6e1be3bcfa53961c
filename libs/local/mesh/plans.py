"""Which processes make up the mesh: their commands, settings and addresses."""

import dataclasses
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from libs.local.mesh.states import PROJECT

ROOT: Final = Path(__file__).resolve().parents[3]
ENGINE_PYTHON: Final = ROOT / ".venvs" / "engine" / "bin" / "python"
WORKERS: Final = ("ingest-1", "ingest-2")
DRAIN_SECONDS: Final = "0"
GRACE_SECONDS: Final = "5"
STOP_ORDER: Final = (("edge",), ("orchestrator",), (*WORKERS, "quality"), ("auth",), ("bigquery",))
"""Callers stop before those they call."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one process is started, and which code it runs."""

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, str]
    addresses: Mapping[str, str]
    code: tuple[str, ...] = ()
    """Folders below the root of the code whose change restarts it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Where the mesh keeps things and where its edge is."""

    folder: Path
    configs: Path
    edge_port: int


def plans(mesh: Mesh, take: Callable[[int], str]) -> tuple[Plan, ...]:
    """Return the processes of `mesh`; `take(port)` reserves an address, port 0 meaning any."""
    edge = take(mesh.edge_port)
    rest, storage = take(0), take(0)
    warehouse = {
        "BIGQUERY_PROJECT": PROJECT,
        "BIGQUERY_ENDPOINT": f"http://{rest}",
        "BIGQUERY_STORAGE_ENDPOINT": storage,
    }
    names = ("auth", "quality", *WORKERS, "orchestrator")
    at = {name: {"grpc": take(0), "admin": take(0)} for name in names}
    own = _own_settings(mesh, {name: one["grpc"] for name, one in at.items()})
    return (
        _engine(mesh, rest, storage),
        *(_service(name, at[name], {**warehouse, **own[name]}) for name in names),
        _edge(edge, at["auth"]["grpc"], at["orchestrator"]["grpc"]),
    )


def _own_settings(mesh: Mesh, at: Mapping[str, str]) -> dict[str, dict[str, str]]:
    keys = mesh.folder / "keys"
    credential = str(keys / "orchestrator_credential")
    worker = {"AUTH": at["auth"], "CONFIGS": str(mesh.configs), "ALLOW_PRIVATE_ADDRESSES": "true"}
    return {
        "auth": {
            "SIGNING_KEY": f"file:{keys / 'signing_key.pem'}",
            "ORCHESTRATOR_CREDENTIAL": credential,
            "CONFIGS": str(mesh.configs),
        },
        "quality": {"AUTH": at["auth"]},
        **dict.fromkeys(WORKERS, worker),
        "orchestrator": {
            "AUTH": at["auth"],
            "QUALITY": at["quality"],
            "WORKERS": ",".join(at[name] for name in WORKERS),
            "CONFIGS": str(mesh.configs),
            "LEASE": str(mesh.folder / "orchestrator"),
            "CREDENTIAL": credential,
            "STREAMS_END_WITH_SERVER": "true",
            "STREAMS_PER_HOUR": "0",
        },
    }


def _service(name: str, at: Mapping[str, str], own: Mapping[str, str]) -> Plan:
    service = name.partition("-")[0]
    fields = {
        "LISTEN": at["grpc"],
        "ADMIN_LISTEN": at["admin"],
        "DRAIN_SECONDS": DRAIN_SECONDS,
        "GRACE_SECONDS": GRACE_SECONDS,
        **own,
    }
    return Plan(
        name=name,
        command=(sys.executable, "-P", "-m", f"services.{service}"),
        settings={
            f"CONVERGENCE_{service.upper()}_{field}": value for field, value in fields.items()
        },
        addresses=at,
        code=(
            f"services/{service}",
            "libs/common",
            "libs/bigquery",
            "libs/kubernetes",
            "libs/metadata",
            "gen",
        ),
    )


def _engine(mesh: Mesh, rest: str, storage: str) -> Plan:
    arguments = (
        *("--data-dir", str(mesh.folder / "data" / "bigquery")),
        *("--rest-port", rest.rpartition(":")[2]),
        *("--grpc-port", storage.rpartition(":")[2]),
        *("--project", PROJECT),
    )
    return Plan(
        name="bigquery",
        command=(engine_python(), "-P", "-m", "libs.local.engine", *arguments),
        settings={},
        addresses={"rest": rest, "grpc": storage},
        code=("libs/local/engine",),
    )


def _edge(listen: str, auth: str, orchestrator: str) -> Plan:
    arguments = ("--listen", listen, "--auth", auth, "--orchestrator", orchestrator)
    return Plan(
        name="edge",
        command=(sys.executable, "-P", "-m", "libs.local.edge", *arguments),
        settings={},
        addresses={"grpc": listen},
        code=("libs/local/edge", "libs/common", "gen"),
    )


def engine_python() -> str:
    """Return the interpreter of the embedded BigQuery, which has an environment of its own."""
    return os.environ.get("CONVERGENCE_ENGINE_PYTHON", str(ENGINE_PYTHON))


def import_path() -> str:
    """Return PYTHONPATH for the mesh's processes: this code first, wherever they are started."""
    own = [str(ROOT), *([str(ROOT / "gen")] if (ROOT / "gen").is_dir() else [])]
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])

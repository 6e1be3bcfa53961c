"""What is known about a mesh: kept in its folder, written by the supervisor alone."""

import contextlib
import dataclasses
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, Self

from libs.local.mesh.identities import Identity

FILE: Final = "state.json"
LOCK: Final = "lock"
PROJECT: Final = "local"

Phase = Literal["waiting", "running", "stopped"]


class AlreadyUp(Exception):
    """Another supervisor holds this folder."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the mesh, as it was when the state was written."""

    name: str
    addresses: Mapping[str, str]
    """Where it listens, by what for: `grpc`, `admin`, `rest`."""
    log: str
    phase: Phase = "waiting"
    identity: Identity | None = None
    restarts: int = 0
    last_exit: str = ""
    """How it ended the last time, and when; empty if it never did."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A mesh: its supervisor and processes in the order they are started in."""

    folder: str
    configs: str
    supervisor: Identity
    processes: tuple[Process, ...] = ()
    failure: str = ""
    """Why it could not be started; empty if it could."""

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return what is written in `folder`, None if nothing readable is."""
        try:
            return cls._parse(json.loads((folder / FILE).read_text()))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @classmethod
    def _parse(cls, found: dict[str, Any]) -> Self:
        processes = tuple(
            Process(**{**one, "identity": _identity(one["identity"])})
            for one in found.pop("processes")
        )
        supervisor = Identity(**found.pop("supervisor"))
        return cls(**found, supervisor=supervisor, processes=processes)

    def write(self) -> None:
        """Replace what is written, whole or not at all."""
        file = Path(self.folder) / FILE
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps(dataclasses.asdict(self), indent=2))
        draft.replace(file)

    def alive(self) -> bool:
        """Whether its supervisor runs."""
        return self.supervisor.alive()

    def process(self, name: str) -> Process:
        """Return the process `name`; raise KeyError if there is none."""
        for process in self.processes:
            if process.name == name:
                return process
        raise KeyError(name)

    def addresses(self) -> dict[str, str]:
        """Return every address by name: `edge`, `bigquery_rest`, `auth`, `auth_admin` and so on."""
        return {
            process.name
            if use == "grpc" and process.name != "bigquery"
            else f"{process.name}_{use}": at
            for process in self.processes
            for use, at in process.addresses.items()
        }


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` for this process; raise AlreadyUp if another does."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyUp(_advice(folder)) from error
        yield


def _advice(folder: Path) -> str:
    state = State.read(folder)
    known = f" (supervisor pid {state.supervisor.pid})" if state else ""
    return (
        f"a mesh is already up with its state in {folder}{known}; see it with `convergence local status`, "
        "stop it with `convergence local down`, or start another with --state FOLDER --port PORT"
    )


def _identity(found: dict[str, Any] | None) -> Identity | None:
    return Identity(**found) if found else None

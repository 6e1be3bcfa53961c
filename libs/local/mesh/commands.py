"""`convergence local`: the mesh on this machine."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from rich.console import Console
from rich.table import Table

from libs.local.mesh import lifecycle
from libs.local.mesh.admin import environment
from libs.local.mesh.health import SERVING, check
from libs.local.mesh.states import PROJECT, AlreadyUp, State, locked

NOT_STARTED: Final = 1
NOT_SERVING: Final = 1
FOLDER: Final = ".convergence"

STATE = click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Folder that holds everything of the mesh.",
)
OUTPUT = click.option(
    "--output", type=click.Choice(["table", "json"]), default="table", show_default=True
)


@click.group()
def local() -> None:
    """The whole mesh as processes on this machine, with an embedded BigQuery.

    \b
    Examples:
      convergence local up
      convergence local status
      convergence local down
    """


@local.command()
@STATE
@click.option(
    "--configs",
    type=click.Path(file_okay=False, path_type=Path),
    default="configs",
    show_default=True,
    help="Folder with one folder of files per tenant.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=50051,
    show_default=True,
    help="Port of the edge; 0 takes any.",
)
@click.option("--dev", is_flag=True, help="Restart a service when its code changes.")
@click.option(
    "--init",
    is_flag=True,
    help="Run `admin init` too; it shows the platform key of a new mesh, once.",
)
@click.option(
    "--detach/--foreground",
    default=True,
    show_default=True,
    help="Return once everything serves, or stay until Ctrl-C.",
)
@OUTPUT
def up(
    folder: Path, configs: Path, port: int, dev: bool, init: bool, detach: bool, output: str
) -> None:
    """Start the mesh and wait until every health check serves.

    Everything it keeps is below --state. A process that dies is started again, which its
    status shows. Exits 1 if the port is in use, a mesh is up already, or something does not
    start; then nothing is left running.

    \b
    Examples:
      convergence local up
      convergence local up --dev --foreground
      convergence local up --state /tmp/other --port 50061
    """
    wish = lifecycle.Wish(folder=folder.resolve(), configs=configs.resolve(), port=port, dev=dev)
    console = Console(stderr=True, highlight=False)
    began = time.monotonic()
    try:
        with (
            console.status("starting")
            if console.is_terminal
            else contextlib.nullcontext() as status
        ):
            state = lifecycle.start(
                wish, seen=lambda known, health: _progress(status, known, health)
            )
    except (AlreadyUp, lifecycle.NotStarted) as error:
        _refuse(str(error), output)
    took = time.monotonic() - began
    if output == "json":
        click.echo(json.dumps(_shown(state, {})))
    else:
        _welcome(state, took)
    if init:
        _initialise(state)
    if not detach:
        _stay(state)


@local.command()
@STATE
def down(folder: Path) -> None:
    """Stop the mesh, callers before those they call; its data stays.

    \b
    Example:
      convergence local down
    """
    stopped = lifecycle.stop(folder.resolve())
    click.echo(f"stopped {', '.join(stopped)}" if stopped else f"nothing is up in {folder}")


@local.command()
@STATE
@OUTPUT
def status(folder: Path, output: str) -> None:
    """Show every process, its addresses, health and log; exits 1 unless all serve.

    \b
    Examples:
      convergence local status
      convergence local status --output json
    """
    state = State.read(folder.resolve())
    up_now = state is not None and state.alive()
    health = asyncio.run(check(state.processes)) if state and up_now else {}
    if output == "json":
        click.echo(json.dumps(_shown(state, health), indent=2))
    elif state is None or not up_now:
        click.echo(f"nothing is up in {folder}; start it with `convergence local up`")
    else:
        Console(highlight=False, soft_wrap=True).print(_table(state, health))
    sys.exit(0 if health and all(answer == SERVING for answer in health.values()) else NOT_SERVING)


@local.command()
@STATE
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(folder: Path, yes: bool) -> None:
    """Delete everything that the mesh keeps: tables, keys, logs. Tenants' files stay.

    \b
    Example:
      convergence local reset --yes
    """
    target = folder.resolve()
    if not target.exists():
        click.echo(f"nothing is kept in {folder}")
        return
    if any(target.iterdir()) and not (target / "lock").exists():
        _refuse(f"{folder} holds no mesh, so it is not deleted", "table")
    if not yes:
        click.confirm(f"Delete everything in {target}?", abort=True, err=True)
    try:
        with locked(target):
            lifecycle.stop(target)
            shutil.rmtree(target)
    except AlreadyUp:
        _refuse(f"the mesh of {folder} is up; stop it first: `convergence local down`", "table")
    click.echo(f"deleted {target}")


def _progress(status: Any, state: State, health: Mapping[str, str]) -> None:
    if status is not None:
        waiting = [name for name, answer in health.items() if answer != SERVING]
        again = [
            f"{one.name} was started again ({one.last_exit})"
            for one in state.processes
            if one.restarts
        ]
        status.update("; ".join([f"waiting for {', '.join(waiting) or 'nothing'}", *again]))


def _refuse(text: str, output: str) -> NoReturn:
    said = json.dumps({"error": {"message": text}}) if output == "json" else f"error: {text}"
    click.echo(said, err=True)
    sys.exit(NOT_STARTED)


def _welcome(state: State, took: float) -> None:
    edge = _public(state.addresses()["edge"])
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"the mesh serves at {edge} ({len(state.processes)} processes, {took:.1f} s)")
    default = edge == "localhost:50051"
    for line in _next(state, edge, default=default):
        console.print(line, markup=False)


def _next(state: State, edge: str, *, default: bool) -> Iterator[str]:
    at = "" if state.folder == str(Path(FOLDER).resolve()) else f" --state {state.folder}"
    yield "\nnext:"
    if not default:
        yield f"  export CONVERGENCE_ADDRESS={edge}"
    yield f"  convergence admin init{at}             create metadata and the platform key, shown once"
    yield f"  convergence tenants create acme_corp --configs {state.configs}"
    yield f"  grpcurl -plaintext {edge} list"
    yield f"  convergence local status{at}           addresses, health and logs"
    yield f"  convergence local down{at}"


def _initialise(state: State) -> None:
    command = [sys.executable, "-m", "services.auth.admin_init", "--output", "table"]
    done = subprocess.run(command, env={**os.environ, **environment(state)}, check=False)
    if done.returncode:
        sys.exit(done.returncode)


def _stay(state: State) -> None:
    def interrupted(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    folder = Path(state.folder)
    try:
        while state.alive():
            time.sleep(0.2)
    except KeyboardInterrupt:
        click.echo(f"\nstopping {', '.join(lifecycle.stop(folder))}", err=True)


def _public(address: str) -> str:
    return f"localhost:{address.rpartition(':')[2]}"


def _shown(state: State | None, health: Mapping[str, str]) -> dict[str, Any]:
    if state is None or not state.alive():
        return {"up": False, "project_id": PROJECT, "processes": []}
    return {
        "up": True,
        "project_id": PROJECT,
        "state": state.folder,
        "configs": state.configs,
        "supervisor": {"pid": state.supervisor.pid, "log": f"{state.folder}/logs/mesh.log"},
        "addresses": {**state.addresses(), "edge": _public(state.addresses()["edge"])},
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


def _table(state: State, health: Mapping[str, str]) -> Table:
    made = Table(box=None, pad_edge=False)
    for column in ("process", "pid", "health", "addresses", "log"):
        made.add_column(column, no_wrap=True)
    for one in state.processes:
        pid = str(one.identity.pid) if one.identity else one.phase
        ended = (
            f" (started again {one.restarts} times, last {one.last_exit})" if one.restarts else ""
        )
        addresses = ", ".join(f"{use} {at}" for use, at in one.addresses.items())
        made.add_row(one.name, pid, health.get(one.name, "") + ended, addresses, one.log)
    return made

"""`convergence local`: the mesh on this machine."""

import asyncio
import contextlib
import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from libs.client.cli import output as out
from libs.client.cli.admin import initialised
from libs.client.cli.asking import confirm
from libs.client.cli.failures import NOT_DONE, Refusal, Refused
from libs.client.cli.mesh_shown import CONFIGS, FOLDER, as_json, at_state, edge, next_steps, show
from libs.client.cli.parameters import Whole, output_option
from libs.local.mesh import lifecycle
from libs.local.mesh.admin import environment
from libs.local.mesh.health import SERVING, check
from libs.local.mesh.states import AlreadyUp, State, locked

_AGAIN: Final = "`convergence local up` starts it again, with what it kept"

STATE = click.option(
    "--state",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default=True,
    help="Folder that holds everything of the mesh.",
)


@click.group()
def local() -> None:
    """Run the whole mesh on this machine, BigQuery included.

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
    default=CONFIGS,
    show_default=True,
    help="Folder with one folder of files per tenant.",
)
@click.option(
    "--port",
    type=Whole(0, 65535),
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
@output_option()
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
      convergence local up --state other-mesh --port 50061
    """
    signal.signal(signal.SIGTERM, _interrupted)
    wish = lifecycle.Wish(folder=folder.resolve(), configs=configs.resolve(), port=port, dev=dev)
    began = time.monotonic()
    state = _start(wish)
    took = time.monotonic() - began
    with contextlib.nullcontext() if detach else _stopped_after(state):
        _welcome(state, took, init=init, output=output)
        if not detach:
            _stay(state)


@local.command()
@STATE
@output_option()
def down(folder: Path, output: str) -> None:
    """Stop the mesh; its data stays.

    Callers stop before those they call, so that work in flight can end.

    \b
    Example:
      convergence local down
    """
    stopped = lifecycle.stop(folder.resolve())
    if output == "json":
        out.print_json({"stopped": stopped})
        return
    click.echo(f"stopped {', '.join(stopped)}" if stopped else f"nothing is up in {folder}")


@local.command()
@STATE
@output_option()
def status(folder: Path, output: str) -> None:
    """Show every process, its addresses, health and log.

    Exits 1 unless all serve.

    \b
    Examples:
      convergence local status
      convergence local status --output json
    """
    state = State.read(folder.resolve())
    if state is not None and not state.alive():
        state = None
    health = asyncio.run(check(state.processes)) if state else {}
    if output == "json":
        out.print_json(as_json(state, health))
    elif state is None:
        click.echo(f"nothing is up in {folder}; start it with `convergence local up`")
    else:
        show(state, health)
    sys.exit(0 if health and all(answer == SERVING for answer in health.values()) else NOT_DONE)


@local.command()
@STATE
@click.option("--yes", is_flag=True, help="Do not ask.")
@output_option()
def reset(folder: Path, yes: bool, output: str) -> None:
    """Delete what the mesh keeps: tables, keys, logs.

    Tenants' files stay. The mesh must be down.

    \b
    Example:
      convergence local reset --yes
    """
    target = folder.resolve()
    there = target.exists()
    if there:
        _delete(target, yes=yes)
    if output == "json":
        out.print_json({"deleted": str(target) if there else None})
    else:
        click.echo(f"deleted {target}" if there else f"nothing is kept in {folder}")


def _delete(target: Path, *, yes: bool) -> None:
    if any(target.iterdir()) and not (target / "lock").exists():
        raise _refused(
            f"{target} holds no mesh, so it is not deleted",
            "NOT_A_MESH",
            "name the folder that `convergence local up --state` used",
        )
    confirm(f"Delete everything in {target}?", yes=yes)
    try:
        with locked(target):
            lifecycle.stop(target)
            shutil.rmtree(target)
    except AlreadyUp:
        text = f"the mesh of {target} is up"
        raise _refused(
            text, "ALREADY_UP", f"stop it first: `convergence local down{at_state(target)}`"
        ) from None


def _start(wish: lifecycle.Wish) -> State:
    console = out.console(stderr=True)
    waiting = console.status("starting") if console.is_terminal else contextlib.nullcontext()
    try:
        with waiting as shown:
            return lifecycle.start(wish, seen=lambda state, health: _progress(shown, state, health))
    except AlreadyUp as error:
        raise _refused(str(error), "ALREADY_UP") from None
    except lifecycle.NotStarted as error:
        raise _refused(str(error), "NOT_STARTED") from None


def _refused(text: str, reason: str, advice: str = "") -> Refused:
    return Refused(Refusal(message=text, status=NOT_DONE, reason=reason, advice=advice))


def _progress(status: Any, state: State, health: Mapping[str, str]) -> None:
    if status is not None:
        waiting = [name for name, answer in health.items() if answer != SERVING]
        again = [
            f"{one.name} was started again ({one.last_exit})"
            for one in state.processes
            if one.restarts
        ]
        status.update("; ".join([f"waiting for {', '.join(waiting) or 'nothing'}", *again]))


def _interrupted(_number: int, _frame: object) -> None:
    """End as Ctrl-C does: what was started is stopped."""
    raise KeyboardInterrupt


def _welcome(state: State, took: float, *, init: bool, output: str) -> None:
    made = initialised(environment(state), output) if init else ""
    if output == "json":
        serving = dict.fromkeys((one.name for one in state.processes), SERVING)
        init_result = {"init": json.loads(made)} if init else {}
        out.print_json({**as_json(state, serving), **init_result})
        return
    click.echo(f"the mesh serves at {edge(state)} ({len(state.processes)} processes, {took:.1f} s)")
    if made:
        click.echo(f"\n{made}".rstrip())
    click.echo("\n".join(next_steps(state, init=init)))


@contextlib.contextmanager
def _stopped_after(state: State) -> Iterator[None]:
    """Stop the mesh at the end of the block, however it ends; Ctrl-C is how it ends well."""
    folder = Path(state.folder)
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\nstopped {', '.join(lifecycle.stop(folder))}", err=True)
    finally:
        lifecycle.stop(folder)


def _stay(state: State) -> None:
    folder = Path(state.folder)
    while state.alive():
        time.sleep(0.2)
    last = State.read(folder)
    if last is None or any(process.phase != "stopped" for process in last.processes):
        log = folder / "logs" / "mesh.log"
        raise _refused(f"the supervisor was killed; its log is {log}", "MESH_ENDED", _AGAIN)
    click.echo("the mesh was stopped", err=True)

"""`convergence runs`: started, listed and followed."""

import contextlib
import dataclasses
from datetime import datetime
from uuid import UUID, uuid4

import click
from convergence.orchestrator.v1.run_pb2 import Run, RunState

from libs.client import Client
from libs.client.cli import output, run_steering
from libs.client.cli.bar import followed
from libs.client.cli.explaining import explained
from libs.client.cli.failures import Refused, refusal
from libs.client.cli.parameters import date_option, limit_option
from libs.client.cli.queues import queue
from libs.client.cli.receipts import shown, state_of, window_text
from libs.client.cli.session import Session, connected
from libs.client.cli.watching import drawn, exit_status
from libs.common import errors

STATES = [
    output.short_state(name)
    for name in RunState.DESCRIPTOR.values_by_name
    if not name.endswith("_UNSPECIFIED")
]


@click.group()
def runs() -> None:
    """Start runs, follow them and decide about them.

    RUN is PIPELINE/RUN as `runs list` prints it, or the full name
    tenants/TENANT/pipelines/PIPELINE/runs/RUN.

    \b
    Examples:
      convergence runs start p_focus_billing
      convergence runs list --state HELD
      convergence runs explain p_openai_daily/r20261120t060000_1f2e3d4c
    """


@runs.command()
@click.argument("pipeline")
@date_option("A day that the run is for; today minus the pipeline's lag if left out.")
@click.option(
    "--reload", is_flag=True, help="Read inputs again that were published before (append)."
)
@click.option(
    "--request-id", type=click.UUID, metavar="UUID", help="Repeating it starts no second run."
)
@click.option(
    "--watch/--detach",
    default=True,
    show_default=True,
    help="Follow the run to its end, or return at once.",
)
@connected
def start(
    session: Session,
    pipeline: str,
    window_time: datetime | None,
    reload: bool,
    request_id: UUID | None,
    watch: bool,
) -> int:
    """Start a run and follow it to its receipt.

    Exits 0 when it is published, 1 when it failed or is held.

    \b
    Examples:
      convergence runs start p_focus_billing
      convergence runs start p_openai_daily --date 2026-11-20 --detach --output json
    """
    parent = str(session.pipeline(pipeline))
    request_id = request_id or uuid4()
    with session.client() as client:
        try:
            run = client.runs.start(
                parent, window_time=window_time, reload=reload, request_id=str(request_id)
            )
        except errors.Unavailable as error:
            advice = f"repeat it with --request-id {request_id}, which starts no second run"
            said = dataclasses.replace(refusal(error), advice=advice)
            raise Refused(said) from error
        if not session.json:
            _warn_of_edit(client, parent)
        return _follow(session, client, run) if watch else _show(session, run)


@runs.command("list")
@click.option("--pipeline", help="Only runs of this pipeline.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(STATES, case_sensitive=False),
    metavar="STATE",
    help=f"Only runs in this state (repeatable): {', '.join(STATES)}.",
)
@limit_option()
@connected
def list_(session: Session, pipeline: str | None, states: tuple[str, ...], limit: int) -> int:
    """List runs, newest first.

    \b
    Example:
      convergence runs list --state HELD --state FAILED
    """
    parent = session.pipeline(pipeline) if pipeline else session.tenant()
    wanted = [getattr(RunState, f"RUN_STATE_{state.upper()}") for state in states]
    with session.client() as client:
        found = client.runs.list(str(parent), states=wanted, limit=limit + 1)
    found = output.first(found, limit)
    if session.json:
        output.print_json([output.plain(run) for run in found])
        return 0
    rows = [
        (
            session.short(run.name),
            state_of(run),
            window_text(run.window),
            output.moment(run.create_time),
            f"{run.receipt.landed_row_count:,}" if run.HasField("receipt") else "",
        )
        for run in found
    ]
    columns = ("run", "state", "window", "created", "rows")
    listing = output.table(rows, *columns, right=["rows"], prose=["window"])
    output.print_table(
        listing, f"no runs of {parent}; `convergence runs start PIPELINE` starts one"
    )
    return 0


@runs.command()
@click.argument("run")
@connected
def get(session: Session, run: str) -> int:
    """Show a run, and its receipt once it has one.

    \b
    Example:
      convergence runs get p_focus_billing/r20261124t060000_1f2e3d4c --output json
    """
    with session.client() as client:
        return _show(session, client.runs.get(str(session.run(run))))


@runs.command()
@click.argument("run")
@connected
def watch(session: Session, run: str) -> int:
    """Follow a run to its end, through broken connections.

    \b
    Example:
      convergence runs watch p_focus_billing/r20261124t060000_1f2e3d4c
    """
    with session.client() as client:
        return _follow(session, client, client.runs.get(str(session.run(run))))


@runs.command()
@click.argument("run")
@connected
def explain(session: Session, run: str) -> int:
    """Tell a run in sentences, and what to do.

    What happened or what it waits for, whose turn it is, whether data is safe, what to do, and
    the records that show it.

    \b
    Example:
      convergence runs explain p_openai_daily/r20261120t060000_1f2e3d4c
    """
    with session.client() as client:
        found = client.runs.explain(str(session.run(run)))
    if session.json:
        output.print_json(output.plain(found))
    else:
        click.echo("\n\n".join(explained(found)))
    return 0


for command in (*run_steering.COMMANDS, queue):
    runs.add_command(command)


def _warn_of_edit(client: Client, pipeline: str) -> None:
    """Say that a run uses files as they were before a broken edit, where the key may know that."""
    with contextlib.suppress(errors.ServiceError):
        broken = client.pipelines.get(pipeline).errors
        if broken:
            click.echo(
                f"the latest edit of {pipeline} is broken, so the run uses its files as they were "
                f"before: convergence pipelines validate {pipeline}",
                err=True,
            )


def _follow(session: Session, client: Client, run: Run) -> int:
    """Wait until the run settles; in JSON the last state is printed, on a terminal a bar too."""
    again = f"convergence runs watch {session.short(run.name)}"
    run = followed(run.name, client.runs.wait, drawn, noun="run", again=again)
    _show(session, run)
    return exit_status(run)


def _show(session: Session, run: Run) -> int:
    return output.show(run, shown(run), as_json=session.json)

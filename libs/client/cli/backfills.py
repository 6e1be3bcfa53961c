"""`convergence backfills`: runs over a range of past windows."""

import dataclasses
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

import click
from convergence.orchestrator.v1.backfill_pb2 import Backfill, BackfillState

from libs.client import Client
from libs.client.cli import output
from libs.client.cli.backfills_shown import (
    counts,
    drawn,
    exit_status,
    range_text,
    shown,
    state_of,
)
from libs.client.cli.bar import followed
from libs.client.cli.failures import Refused, refusal
from libs.client.cli.parameters import Day, Whole, limit_option
from libs.client.cli.session import Session, connected
from libs.common import errors

MOVING: Final = frozenset(
    {BackfillState.BACKFILL_STATE_RUNNING, BackfillState.BACKFILL_STATE_CANCELLING}
)


@click.group()
def backfills() -> None:
    """Run pipelines over ranges of past windows.

    A few runs at a time, beside everything else.

    BACKFILL is PIPELINE/BACKFILL as `backfills list` prints it, or the full name
    tenants/TENANT/pipelines/PIPELINE/backfills/BACKFILL.

    \b
    Examples:
      convergence backfills start p_openai_daily --from 2026-01-01 --until 2026-11-01
      convergence backfills watch p_openai_daily/b20261126t060000_1f2e3d4c
    """


@backfills.command()
@click.argument("pipeline")
@click.option(
    "--from",
    "start",
    metavar="YYYY-MM-DD",
    type=Day(),
    required=True,
    help="First day of the range.",
)
@click.option(
    "--until",
    "end",
    metavar="YYYY-MM-DD",
    type=Day(),
    required=True,
    help="First day after the range.",
)
@click.option("--max-parallel", type=Whole(1), help="Most live runs of it at once.  [default: 4]")
@click.option("--oldest-first", is_flag=True, help="Begin with the first day, not with the last.")
@click.option("--max-failures", type=Whole(1), help="So many failed runs pause it.  [default: 10]")
@click.option(
    "--reload", is_flag=True, help="Read inputs again that were published before (append)."
)
@click.option("--reason", default="", help="Why, for the history.")
@click.option(
    "--request-id", type=click.UUID, metavar="UUID", help="Repeating it starts no second backfill."
)
@click.option(
    "--watch/--detach",
    default=False,
    show_default=True,
    help="Follow it to its end, or return at once.",
)
@connected
def start(  # noqa: PLR0913, PLR0917 click gives each option its argument
    session: Session,
    pipeline: str,
    start: datetime,
    end: datetime,
    max_parallel: int | None,
    oldest_first: bool,
    max_failures: int | None,
    reload: bool,
    reason: str,
    request_id: UUID | None,
    watch: bool,
) -> int:
    """Start a backfill over a range of days, or of whole months.

    Each window is read alone, without the pipeline's lookback, and all of them as the pipeline's files are now.

    \b
    Example:
      convergence backfills start p_openai_daily --from 2026-01-01 --until 2026-11-01 --reason "a new tenant"
    """
    request_id = request_id or uuid4()
    with session.client() as client:
        try:
            made = client.backfills.start(
                str(session.pipeline(pipeline)),
                start=start.date(),
                end=end.date(),
                max_parallel=max_parallel or 0,
                oldest_first=oldest_first,
                max_failures=max_failures or 0,
                reload=reload,
                reason=reason,
                request_id=str(request_id),
            )
        except errors.Unavailable as error:
            advice = f"repeat it with --request-id {request_id}, which starts no second backfill"
            said = dataclasses.replace(refusal(error), advice=advice)
            raise Refused(said) from error
        return _follow(session, client, made) if watch else _moved(session, made)


@backfills.command("list")
@click.option("--pipeline", help="Only backfills of this pipeline.")
@limit_option()
@connected
def list_(session: Session, pipeline: str | None, limit: int) -> int:
    """List backfills, newest first.

    \b
    Example:
      convergence backfills list --pipeline p_openai_daily
    """
    parent = session.pipeline(pipeline) if pipeline else session.tenant()
    with session.client() as client:
        found = output.first(client.backfills.list(str(parent), limit=limit + 1), limit)
    if session.json:
        output.print_json([output.plain(one) for one in found])
        return 0
    rows = [
        (
            session.short_backfill(one.name),
            state_of(one),
            range_text(one),
            counts(one.progress),
            output.moment(one.create_time),
        )
        for one in found
    ]
    columns = ("backfill", "state", "range", "windows", "created")
    nothing = f"no backfills of {parent}; `convergence backfills start PIPELINE` starts one"
    output.print_table(output.table(rows, *columns, prose=["windows"]), nothing)
    return 0


@backfills.command()
@click.argument("backfill")
@connected
def get(session: Session, backfill: str) -> int:
    """Show how far a backfill is.

    What was published, and which windows are in trouble.

    \b
    Example:
      convergence backfills get p_openai_daily/b20261126t060000_1f2e3d4c
    """
    with session.client() as client:
        return _show(session, client.backfills.get(str(session.backfill(backfill))))


@backfills.command()
@click.argument("backfill")
@connected
def watch(session: Session, backfill: str) -> int:
    """Follow a backfill to its end.

    Or until it is paused and no run of it is live. Exits 0 when every window is published, 1 when it is paused, was cancelled, or has windows that failed or are held.

    \b
    Example:
      convergence backfills watch p_openai_daily/b20261126t060000_1f2e3d4c
    """
    with session.client() as client:
        return _follow(session, client, client.backfills.get(str(session.backfill(backfill))))


@backfills.command()
@click.argument("backfill")
@click.option("--reason", default="", help="Why, for the history.")
@connected
def pause(session: Session, backfill: str, reason: str) -> int:
    """Start no further windows; live runs go on.

    \b
    Example:
      convergence backfills pause p_openai_daily/b20261126t060000_1f2e3d4c --reason "the source is slow"
    """
    with session.client() as client:
        name = str(session.backfill(backfill))
        return _moved(session, client.backfills.pause(name, reason=reason))


@backfills.command()
@click.argument("backfill")
@connected
def resume(session: Session, backfill: str) -> int:
    """Go on with a paused backfill.

    Failures are counted anew.

    \b
    Example:
      convergence backfills resume p_openai_daily/b20261126t060000_1f2e3d4c
    """
    with session.client() as client:
        return _moved(session, client.backfills.resume(str(session.backfill(backfill))))


@backfills.command()
@click.argument("backfill")
@click.option("--reason", default="", help="Why, for the history.")
@connected
def cancel(session: Session, backfill: str, reason: str) -> int:
    """Stop a backfill and its live runs.

    What is published stays.

    \b
    Example:
      convergence backfills cancel p_openai_daily/b20261126t060000_1f2e3d4c --reason "wrong range"
    """
    with session.client() as client:
        name = str(session.backfill(backfill))
        return _moved(session, client.backfills.cancel(name, reason=reason))


def _follow(session: Session, client: Client, backfill: Backfill) -> int:
    """Wait until nothing moves; in JSON the last state is printed, on a terminal a bar too."""
    again = f"convergence backfills watch {session.short_backfill(backfill.name)}"
    backfill = followed(backfill.name, client.backfills.wait, drawn, noun="backfill", again=again)
    _show(session, backfill)
    return exit_status(backfill)


def _show(session: Session, backfill: Backfill) -> int:
    return output.show(backfill, shown(backfill), as_json=session.json)


def _moved(session: Session, backfill: Backfill) -> int:
    if session.json:
        output.print_json(output.plain(backfill))
    else:
        click.echo(f"{backfill.name} is {state_of(backfill)}")
        if backfill.state in MOVING:
            short = session.short_backfill(backfill.name)
            click.echo(f"follow it: convergence backfills watch {short}", err=True)
    return 0

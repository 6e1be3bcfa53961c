"""`convergence runs` that decide about a run, or look into it: results, quarantine, history."""

from collections.abc import Sequence
from typing import Final

import click
from convergence.orchestrator.v1.run_pb2 import Run, RunResult, RunState
from google.protobuf.message import Message

from libs.client import SETTLED
from libs.client.cli import output
from libs.client.cli.listings import Listing
from libs.client.cli.parameters import Whole, limit_option
from libs.client.cli.receipts import state_of
from libs.client.cli.session import Session, connected

REASON = click.option("--reason", default="", help="Why, for the history.")


@click.command()
@click.argument("run")
@limit_option()
@connected
def events(session: Session, run: str, limit: int) -> int:
    """List the history of a run, oldest first.

    \b
    Example:
      convergence runs events p_focus_billing/r20261124t060000_1f2e3d4c
    """
    with session.client() as client:
        found = output.first(client.runs.events(str(session.run(run)), limit=limit + 1), limit)
    rows = [
        (
            str(event.position),
            output.moment(event.event_time),
            event.event_type,
            output.short_state(RunState.Name(event.state)),
            event.summary,
        )
        for event in found
    ]
    listing = output.table(
        rows, "#", "time", "event", "state", "summary", right=["#"], prose=["summary"]
    )
    return _listed(session, found, listing, "no events")


@click.command()
@click.argument("run")
@limit_option()
@connected
def results(session: Session, run: str, limit: int) -> int:
    """List what each expectation said about a run.

    \b
    Example:
      convergence runs results p_focus_billing/r20261124t060000_1f2e3d4c
    """
    with session.client() as client:
        found = output.first(client.runs.results(str(session.run(run)), limit=limit + 1), limit)
    rows = [
        (
            "met" if one.success else "BROKEN",
            one.severity,
            one.expectation_type,
            one.column,
            _found(one),
            ", ".join(one.unexpected_samples[:3]),
        )
        for one in found
    ]
    columns = ("verdict", "severity", "expectation", "column", "found", "samples")
    listing = output.table(rows, *columns, prose=["samples"])
    nothing = "no results: the run was not judged yet, or its pipeline has no suite"
    return _listed(session, found, listing, nothing)


@click.command()
@click.argument("run")
@limit_option()
@connected
def quarantine(session: Session, run: str, limit: int) -> int:
    """List rows of a run that were not published, and why.

    \b
    Example:
      convergence runs quarantine p_focus_billing/r20261124t060000_1f2e3d4c --limit 10
    """
    with session.client() as client:
        found = output.first(client.runs.quarantine(str(session.run(run)), limit=limit + 1), limit)
    rows = [
        (
            f"{one.source}:{one.row_number}",
            "; ".join(one.reasons),
            ", ".join(f"{cell.column}={cell.text}" for cell in one.money),
        )
        for one in found
    ]
    listing = output.table(rows, "row", "reasons", "money", prose=["reasons"])
    return _listed(session, found, listing, "no rows of the run are in quarantine")


@click.command()
@click.argument("run")
@REASON
@connected
def cancel(session: Session, run: str, reason: str) -> int:
    """Stop a run that is not publishing yet.

    The target stays as it is.

    \b
    Example:
      convergence runs cancel p_focus_billing/r20261124t060000_1f2e3d4c --reason "wrong file"
    """
    with session.client() as client:
        return _moved(session, client.runs.cancel(str(session.run(run)), reason=reason))


@click.command()
@click.argument("run")
@click.option(
    "--failed-attempt",
    type=Whole(),
    default=0,
    help="The attempt that you saw fail; a repeat with it changes nothing.",
)
@connected
def retry(session: Session, run: str, failed_attempt: int) -> int:
    """Go on with a failed run from where it stopped.

    \b
    Example:
      convergence runs retry p_openai_daily/r20261120t060000_1f2e3d4c
    """
    with session.client() as client:
        return _moved(
            session, client.runs.retry(str(session.run(run)), failed_attempt=failed_attempt)
        )


@click.command()
@click.argument("run")
@REASON
@connected
def approve(session: Session, run: str, reason: str) -> int:
    """Publish a held run.

    \b
    Example:
      convergence runs approve p_openai_daily/r20261120t060000_1f2e3d4c --reason "a quiet day, checked with the vendor"
    """
    with session.client() as client:
        return _moved(session, client.runs.approve(str(session.run(run)), reason=reason))


@click.command()
@click.argument("run")
@REASON
@connected
def discard(session: Session, run: str, reason: str) -> int:
    """Throw a held run away; the target stays as it is.

    \b
    Example:
      convergence runs discard p_openai_daily/r20261120t060000_1f2e3d4c
    """
    with session.client() as client:
        return _moved(session, client.runs.discard(str(session.run(run)), reason=reason))


COMMANDS: Final = (events, results, quarantine, cancel, retry, approve, discard)


def _found(result: RunResult) -> str:
    if result.HasField("observed_value"):
        return output.amount(result.observed_value)
    broken = f"{result.unexpected_count:,} of {result.element_count:,}"
    return broken if result.element_count else ""


def _listed(session: Session, found: Sequence[Message], listing: Listing, nothing: str) -> int:
    if session.json:
        output.print_json([output.plain(one) for one in found])
    else:
        output.print_table(listing, nothing)
    return 0


def _moved(session: Session, run: Run) -> int:
    if session.json:
        output.print_json(output.plain(run))
    else:
        click.echo(f"{run.name} is {state_of(run)}")
        if run.state not in SETTLED:
            click.echo(f"follow it: convergence runs watch {session.short(run.name)}", err=True)
    return 0

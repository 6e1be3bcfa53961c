"""`convergence runs` that decide about a run, or look into it: results, quarantine, history."""

from collections.abc import Sequence
from typing import Final

import click
from convergence.orchestrator.v1.run_pb2 import Run, RunState
from google.protobuf.message import Message

from libs.client.cli import output
from libs.client.cli.receipts import state_of
from libs.client.cli.session import Session, connected

LIMIT = click.option("--limit", default=50, show_default=True, help="How many at most.")
REASON = click.option("--reason", default="", help="Why, for the history.")


@click.command()
@click.argument("run")
@LIMIT
@connected
def events(session: Session, run: str, limit: int) -> int:
    """List the history of a run, oldest first.

    \b
    Example:
      convergence runs events p_focus_billing/r_20261124
    """
    with session.client() as client:
        found = client.runs.events(str(session.run(run)), limit=limit)
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
    return _listed(session, found, rows, "#", "time", "event", "state", "summary")


@click.command()
@click.argument("run")
@LIMIT
@connected
def results(session: Session, run: str, limit: int) -> int:
    """List what each expectation said about a run.

    \b
    Example:
      convergence runs results p_focus_billing/r_20261124
    """
    with session.client() as client:
        found = client.runs.results(str(session.run(run)), limit=limit)
    rows = [
        (
            "met" if one.success else "BROKEN",
            one.severity,
            one.expectation_type,
            one.column,
            one.observed_value
            if one.HasField("observed_value")
            else f"{one.unexpected_count:,} of {one.element_count:,}",
            ", ".join(one.unexpected_samples[:3]),
        )
        for one in found
    ]
    columns = ("verdict", "severity", "expectation", "column", "found", "samples")
    return _listed(session, found, rows, *columns)


@click.command()
@click.argument("run")
@LIMIT
@connected
def quarantine(session: Session, run: str, limit: int) -> int:
    """List rows of a run that were not published, and why.

    \b
    Example:
      convergence runs quarantine p_focus_billing/r_20261124 --limit 10
    """
    with session.client() as client:
        found = client.runs.quarantine(str(session.run(run)), limit=limit)
    rows = [
        (
            f"{one.source}:{one.row_number}",
            "; ".join(one.reasons),
            ", ".join(f"{cell.column}={cell.text}" for cell in one.money),
        )
        for one in found
    ]
    return _listed(session, found, rows, "row", "reasons", "money")


@click.command()
@click.argument("run")
@REASON
@connected
def cancel(session: Session, run: str, reason: str) -> int:
    """Stop a run that is not publishing yet; the target stays as it is.

    \b
    Example:
      convergence runs cancel p_focus_billing/r_20261124 --reason "wrong file"
    """
    with session.client() as client:
        return _moved(session, client.runs.cancel(str(session.run(run)), reason=reason))


@click.command()
@click.argument("run")
@click.option(
    "--failed-attempt",
    default=0,
    help="The attempt that you saw fail; a repeat with it changes nothing.",
)
@connected
def retry(session: Session, run: str, failed_attempt: int) -> int:
    """Go on with a failed run from where it stopped.

    \b
    Example:
      convergence runs retry p_openai_daily/r_20261120
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
      convergence runs approve p_openai_daily/r_20261120 --reason "a quiet day, checked with the vendor"
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
      convergence runs discard p_openai_daily/r_20261120
    """
    with session.client() as client:
        return _moved(session, client.runs.discard(str(session.run(run)), reason=reason))


COMMANDS: Final = (events, results, quarantine, cancel, retry, approve, discard)


def _listed(
    session: Session, found: Sequence[Message], rows: Sequence[Sequence[str]], *columns: str
) -> int:
    if session.json:
        output.print_json([output.plain(one) for one in found])
    else:
        output.console().print(output.table(rows, *columns))
    return 0


def _moved(session: Session, run: Run) -> int:
    if session.json:
        output.print_json(output.plain(run))
    else:
        output.console().print(f"{run.name} is {state_of(run)}")
    return 0

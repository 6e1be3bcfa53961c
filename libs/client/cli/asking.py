"""Asks before something is lost."""

import sys

import click

from libs.client.cli.failures import NOT_DONE, Refusal, Refused


def confirm(question: str, *, yes: bool) -> None:
    """Return if the answer is yes, or was given with `--yes`.

    Raises:
        Refused: The answer is no.
        click.UsageError: Nobody can answer.
    """
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)
        raise click.UsageError("nobody answers here; give --yes to go on without asking") from None
    if not agreed:
        said = Refusal(message="nothing was changed", status=NOT_DONE, reason="NOT_CONFIRMED")
        raise Refused(said)

"""Checks on Google's BigQuery what is believed of it: `make cloud PROJECT=… LOCATION=…`."""

from __future__ import annotations

import ast
import datetime as dt
import os
from pathlib import Path

import click
import google.auth
import pytest
from google.auth.exceptions import DefaultCredentialsError

ROOM = Path(__file__).parent
NEEDED = "bigquery.datasets.create and bigquery.jobs.create (roles/bigquery.user)"


@click.command()
@click.argument("phase", type=click.Choice(["run", "begin", "end"]), default="run")
@click.option("--project", default="", help="Where the scratch dataset is made.")
@click.option("--location", default="", help="US, EU, europe-west1, …")
def main(phase: str, project: str, location: str) -> None:
    """Run every check, or begin or end those of lifetimes; status 2 where that cannot be done here."""
    missing = _missing(project, location)
    if missing:
        click.echo(_plan(project or "PROJECT", location or "LOCATION"))
        click.echo(f"nothing was run: {missing}")
        raise SystemExit(2)
    raise SystemExit(
        _checked(project, location) if phase == "run" else _lived(phase, project, location)
    )


def _missing(project: str, location: str) -> str:
    if not project or not location:
        return "say PROJECT=… and LOCATION=…"
    try:
        google.auth.default()
    except DefaultCredentialsError:
        return "no credentials: gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS"
    return ""


def _plan(project: str, location: str) -> str:
    """Say what would be done."""
    lines = [
        f"In {project}, {location}, with the permissions {NEEDED}, this would",
        "- make a dataset convergence_check_… whose tables expire after six hours",
        "- delete such datasets that killed runs left behind",
        "- check, for some cents and twenty minutes, eleven of which it waits:",
    ]
    for file in sorted(ROOM.glob("test_*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                lines.append(f"    {node.name.removeprefix('test_').replace('_', ' ')}")
    return "\n".join([*lines, "- delete the dataset, also if a check fails"])


def _checked(project: str, location: str) -> int:
    os.environ.update(CHECK_PROJECT=project, CHECK_LOCATION=location)
    # Google's library warns of a user's own credentials, which are what is wanted here.
    quiet = ("-W", "ignore::UserWarning:google.auth")
    return 1 if pytest.main([str(ROOM), "-q", "-rA", "--timeout=1800", "--tb=short", *quiet]) else 0


def _lived(phase: str, project: str, location: str) -> int:
    os.environ.update(CHECK_PROJECT=project, CHECK_LOCATION=location)
    from tests.cloud import lifetimes, places  # noqa: PLC0415 reads what was just set

    now = dt.datetime.now(dt.UTC)
    with places.clients(project, location, lifetimes.DATASET) as at:
        if phase == "begin":
            lifetimes.begin(at, now)
            return 0
        return 0 if lifetimes.end(at, now, click.echo) else 1


if __name__ == "__main__":
    main()

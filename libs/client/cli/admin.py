"""`convergence admin`: what the platform's operator does once."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

from libs.client.cli.failures import REFUSED, UNREACHABLE, WRONG_ARGUMENTS, Refusal, Refused
from libs.client.cli.parameters import output_option
from libs.local.mesh.admin import environment
from libs.local.mesh.states import State

COMMAND: Final = "services.auth.admin_init"
SETTINGS: Final = (
    "correct the CONVERGENCE_AUTH_… settings of the environment; .env.example lists them"
)
WHY: Final = {
    REFUSED: ("NOT_INITIALIZED", "correct what is named, then run `convergence admin init` again"),
    UNREACHABLE: ("WAREHOUSE_UNAVAILABLE", "see that BigQuery is up, then run it again"),
}
"""What the command's own exit status means."""


@click.group()
def admin() -> None:
    """Set up the platform.

    \b
    Example:
      convergence admin init
    """


@admin.command()
@click.option("--replace-key", is_flag=True, help="Revoke the platform key and make another.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    default=Path(".convergence"),
    show_default=True,
    help="State of the local mesh, where one is up.",
)
@output_option()
def init(replace_key: bool, state: Path, output: str) -> None:
    """Create metadata tables, signing key and platform key.

    The platform key is shown this once. May be repeated: it creates what is missing and
    verifies the rest. With a local mesh up it works on that; otherwise the CONVERGENCE_AUTH_…
    settings of the environment say where. On Kubernetes run it in auth's pod.

    \b
    Examples:
      convergence admin init
      convergence admin init --replace-key --output json
    """
    found = State.read(state)
    settings = environment(found) if found and found.alive() else {}
    if not settings and not any(name.startswith("CONVERGENCE_AUTH_") for name in os.environ):
        raise Refused(
            Refusal(
                message=f"no local mesh is up in {state} and no CONVERGENCE_AUTH_… setting is given",
                status=UNREACHABLE,
                reason="UNREACHABLE",
                advice="run `convergence local up` (--state says where), or set "
                "CONVERGENCE_AUTH_BIGQUERY_PROJECT and what else auth needs",
            )
        )
    click.echo(initialised(settings, output, replace_key=replace_key), nl=False)


def initialised(settings: Mapping[str, str], output: str, *, replace_key: bool = False) -> str:
    """Make what is missing, under `settings` and the environment; return what was said about it.

    Raises:
        Refused: It could not be made; nothing that was there has changed.
    """
    command = [sys.executable, "-P", "-m", COMMAND, "--output", output]
    command += ["--replace-key"] if replace_key else []
    done = subprocess.run(
        command, env={**os.environ, **settings}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason, advice = WHY.get(done.returncode, ("WRONG_ARGUMENTS", SETTINGS))
        status = done.returncode if done.returncode in WHY else WRONG_ARGUMENTS
        text = done.stderr.strip().removeprefix("error: ")
        raise Refused(Refusal(message=text, status=status, reason=reason, advice=advice))
    click.echo(done.stderr, nl=False, err=True)
    return done.stdout

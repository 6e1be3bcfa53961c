"""`convergence admin`: what the platform's operator does once."""

import os
import subprocess
import sys
from pathlib import Path

import click

from libs.client.cli.failures import UNREACHABLE, Refusal, Refused
from libs.client.cli.parameters import output_option
from libs.local.mesh.admin import environment
from libs.local.mesh.states import State

COMMAND = "services.auth.admin_init"


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
    command = [sys.executable, "-P", "-m", COMMAND, "--output", output]
    command += ["--replace-key"] if replace_key else []
    sys.exit(subprocess.run(command, env={**os.environ, **settings}, check=False).returncode)

"""The one bqemulator the fixes were written for."""

import sys
from importlib import metadata

from libs.local.engine.refusal import Refused

SUPPORTED = "1.4.0"


def check() -> None:
    """Raise Refused unless exactly bqemulator SUPPORTED is installed; imports nothing of it."""
    try:
        found = metadata.version("bqemulator")
    except metadata.PackageNotFoundError as error:
        raise Refused(
            f"the embedded BigQuery needs its own environment, and {sys.executable} has no "
            "bqemulator: run `make setup` and start it with .venvs/engine/bin/python"
        ) from error
    if found != SUPPORTED:
        raise Refused(
            f"the embedded BigQuery is written for bqemulator {SUPPORTED} and found {found}: "
            "install libs/local/engine/requirements.lock into .venvs/engine"
        )

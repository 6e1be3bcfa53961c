"""The one bqemulator the fixes were written for."""

import bqemulator

from libs.local.engine.refusal import Refused

SUPPORTED = "1.4.0"


def check(found: str = bqemulator.__version__) -> None:
    """Raise Refused unless the installed bqemulator is exactly SUPPORTED."""
    if found != SUPPORTED:
        raise Refused(
            f"the embedded BigQuery is written for bqemulator {SUPPORTED} and found {found}: "
            "install libs/local/engine/requirements.lock into .venvs/engine"
        )

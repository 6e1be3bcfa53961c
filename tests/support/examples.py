"""How many examples a property is tried with."""

import os
from typing import Final

TIMES: Final = int(os.environ.get("EXAMPLES", "1"))


def examples(usual: int) -> int:
    """Return how many: so many for every change, and EXAMPLES times as many in `make properties`."""
    return usual * TIMES

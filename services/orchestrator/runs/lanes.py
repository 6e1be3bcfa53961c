"""Lanes of runs: which of a tenant's work goes before which other, without ever stopping it."""

import enum
from types import MappingProxyType
from typing import Final


class Lane(enum.StrEnum):
    """Why a run was made, named as in `convergence.orchestrator.v1.RunLane`; the most urgent first."""

    INTERACTIVE = "INTERACTIVE"
    """Somebody asked for it, or asked for it again, and may be waiting."""
    SCHEDULED = "SCHEDULED"
    BACKFILL = "BACKFILL"


WEIGHTS: Final = MappingProxyType({Lane.INTERACTIVE: 8, Lane.SCHEDULED: 4, Lane.BACKFILL: 1})
"""Turns of a lane against the others of its tenant while all of them wait."""

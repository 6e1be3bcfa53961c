"""Runs as the journal tells them, in plain words: nothing is asked of the code that is checked."""

import dataclasses
from datetime import datetime
from typing import Final

from services.orchestrator.runs import records as r
from services.orchestrator.specs import PipelineSpec

STATES: Final[dict[type[r.Part], str]] = {
    r.RunCreated: "PENDING",
    r.RunPlanning: "PLANNING",
    r.RunPlanned: "INGESTING",
    r.ChunksLost: "INGESTING",
    r.RunIngested: "AUDITING",
    r.RunHeld: "HELD",
    r.RunPublishing: "PUBLISHING",
    r.RunPublished: "TRANSFORMING",
    r.TransformFailed: "TRANSFORM_FAILED",
    r.RunSucceeded: "SUCCEEDED",
    r.RunFailed: "FAILED",
    r.RunCancelling: "CANCELLING",
    r.RunCancelled: "CANCELLED",
    r.RunSuperseded: "SUPERSEDED",
    r.RunRetried: "RETRIED",
}

FINAL: Final = frozenset({"SUCCEEDED", "CANCELLED", "SUPERSEDED"})
RESTING: Final = FINAL | {"HELD", "FAILED", "TRANSFORM_FAILED"}


@dataclasses.dataclass(slots=True)
class Told:
    """What the journal says of one run, in the order in which it was said."""

    tenant: str
    spec: PipelineSpec
    table: str
    state: str = "PENDING"
    attempt: int = 1
    published: bool = False
    positions: list[int] = dataclasses.field(default_factory=list)
    days: tuple[datetime, ...] = ()
    """First moments of the days that it reads, of a pipeline with windows."""
    of_backfill: bool = False

    @property
    def live(self) -> bool:
        return self.state not in RESTING

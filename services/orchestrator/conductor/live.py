"""What this orchestrator knows of a run beside its records. It may be lost at any moment."""

import dataclasses
from datetime import datetime

from services.orchestrator.workers.workers import Beat


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trying:
    """A chunk that a worker has, since when, and whether another has it beside."""

    worker: str
    since: datetime
    hedged_at: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """How often something was tried in vain, and what the last try said."""

    tries: int
    reason: str
    message: str


@dataclasses.dataclass(slots=True)
class Live:
    """Chunks by id, and the step that the run is at."""

    beats: dict[str, Beat] = dataclasses.field(default_factory=dict)
    """What workers said last of chunks that they have now."""
    trying: dict[str, Trying] = dataclasses.field(default_factory=dict)
    setbacks: dict[str, Setback] = dataclasses.field(default_factory=dict)
    """Of chunks that have failed and are tried again."""
    step: Setback | None = None
    """Of the step, while it is tried again."""

    def clear(self) -> None:
        """Forget all chunks: nobody works on the run any more."""
        self.beats.clear()
        self.trying.clear()
        self.setbacks.clear()

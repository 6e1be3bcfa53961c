"""What is known of a run at this moment beside its records: who works on it, and what it waits for."""

import dataclasses
from datetime import datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Working:
    """A chunk that a worker has."""

    input_id: str
    worker: str
    since: datetime
    row_count: int = 0
    throttled: bool = False
    """Whether the source asks its reader to wait."""
    hedged_at: str = ""
    """A worker that has a second try of it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delayed:
    """Something that was tried in vain and is tried again. `what` is an input, or empty for the step."""

    what: str = ""
    tries: int
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slots:
    """How the tenant stands in the queue for slots of workers.

    cap: Chunks that it may have at once; 0 is no cap.
    free: Slots that nobody has.
    others: Other tenants that have slots or wait for one.
    """

    busy: int = 0
    cap: int = 0
    free: int = 0
    others: int = 0
    all: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """A moment, and what is so at it."""

    now: datetime
    working: tuple[Working, ...] = ()
    delayed: tuple[Delayed, ...] = ()
    slots: Slots = Slots()
    missing: tuple[str, ...] = ()
    """Pipelines that the run still waits for, before it begins."""
    limit: str = ""
    """Which limit of the tenant keeps the run from beginning; empty if none does."""
    ahead: int = 0
    """Runs of its lane that begin before it."""
    table: str = ""
    """A table that the run waits for; empty if for none."""
    holder: str = ""
    """The run that writes to that table now."""

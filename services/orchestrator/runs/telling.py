"""The history of a run, record by record."""

import dataclasses
from collections.abc import Iterable, Iterator

from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run, apply
from services.orchestrator.runs.states import RunState


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A record, and of the run after it what tells where it stood."""

    record: r.Record
    state: RunState
    attempt: int
    failure: r.Failure | None


def told(records: Iterable[r.Record]) -> Iterator[Told]:
    """Yield all records of a run, oldest first, with what each made of it."""
    after: Run | None = None
    for record in records:
        after = apply(after, record)
        yield Told(record=record, state=after.state, attempt=after.attempt, failure=after.failure)

"""What a worker is told of one try of a chunk, and when a run's time is over."""

from datetime import datetime, timedelta
from typing import Final

from libs.common.errors import FailedPrecondition
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.workers.workers import Assignment

TRIES_PER_EPOCH: Final = 1_000_000
"""Tries are numbered epoch * 1,000,000 + n, so that no number is ever used twice."""


class RunTimedOut(FailedPrecondition):
    """`limits.timeout` has passed before publishing."""

    reason = "RUN_TIMED_OUT"

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"the run was not ready to publish after limits.timeout of {seconds} s; "
            "raise the limit or make the window smaller",
            timeout=f"{seconds}s",
        )


def deadline_of(run: Run) -> datetime:
    """Return when `limits.timeout` of the present attempt is over."""
    return run.attempt_time + timedelta(seconds=run.spec.limits.timeout_seconds)


def assign(
    mesh: Mesh, run: Run, chunk: r.Chunk, number: int, *, requests_per_minute: float
) -> Assignment:
    """Return one numbered try of a chunk, with its share of the provider's account; 0 is no bound."""
    assert run.plan is not None
    assert run.snapshot is not None
    direct = run.plan.direct
    return Assignment(
        run=run.name,
        run_attempt=run.attempt,
        chunk_attempt=mesh.history.epoch * TRIES_PER_EPOCH + number,
        epoch=mesh.history.epoch,
        spec=run.spec,
        chunk=chunk,
        scope=run.scope,
        suite=run.plan.suite,
        table=mesh.warehouse.target(run.spec) if direct else mesh.warehouse.staging(run),
        quarantine_table=mesh.warehouse.quarantine(run.spec),
        staging=not direct,
        snapshot=run.snapshot,
        ingest_time=run.plan.ingest_time,
        deadline=deadline_of(run),
        requests_per_minute=requests_per_minute,
    )

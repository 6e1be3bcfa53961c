"""TRANSFORMING → SUCCEEDED or TRANSFORM_FAILED: silver follows raw, or stays as it was."""

import structlog

from libs.common.errors import ServiceError
from services.orchestrator.conductor.failures import failure_of
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.conductor.publishing import TableLocks
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import published, scope
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import TransformSpec

log = structlog.get_logger()


async def transform(mesh: Mesh, run: Run, locks: TableLocks) -> None:
    """Run every transform that is not done, then end the run. Delayed errors may be tried again.

    The lock of a transform's table is kept over delays, so that nobody merges a newer look before
    an older one that is on its way; `release` gives back what a failure leaves.
    """
    for spec in run.spec.transforms:
        if spec.transform_id in mesh.run(run).transforms:
            continue
        table = spec.target.table_id(run.name.tenant)
        await locks.take(table, run.name)
        await _one(mesh, mesh.run(run), spec)
        locks.give(table, run.name)
    await mesh.record(run, r.RunSucceeded())


def release(run: Run, locks: TableLocks) -> None:
    """Give back the locks of all tables that a run transforms into."""
    for spec in run.spec.transforms:
        locks.give(spec.target.table_id(run.name.tenant), run.name)


def unsettled(run: Run) -> list[str]:
    """Return the tables that statements of a run may still be changing."""
    if run.state is not RunState.TRANSFORMING:
        return []
    left = [spec for spec in run.spec.transforms if spec.transform_id not in run.transforms]
    return [spec.target.table_id(run.name.tenant) for spec in left if _started(run, spec)]


async def _one(mesh: Mesh, run: Run, spec: TransformSpec) -> None:
    row_count, wanted = 0, wanted_scope(mesh, run, spec)
    started = _started(run, spec)
    if started is None and wanted:
        started = await _stage(mesh, run, spec, wanted)
        run = await mesh.record(run, started)
    if started is not None:
        row_count, wanted = await mesh.warehouse.publish_transform(run, started), started.scope
    await mesh.record(
        run,
        r.TransformCompleted(
            transform_id=spec.transform_id,
            target_table=spec.target.table_id(run.name.tenant),
            row_count=row_count,
            scope=wanted,
        ),
    )
    if started is not None:
        await _tidy(mesh, run, started)


async def _tidy(mesh: Mesh, run: Run, started: r.TransformStarted) -> None:
    """Drop what was staged, now that its end is durable; what cannot be dropped expires."""
    try:
        await mesh.warehouse.tidy_transform(run, started)
    except ServiceError as error:
        log.warning("tidying.left", transform=started.transform_id, cause=str(error))


async def _stage(mesh: Mesh, run: Run, spec: TransformSpec, wanted: r.Scope) -> r.TransformStarted:
    """Run the SELECT. Its job's id is new after every record, so that no old result is taken."""
    looked = mesh.history.ledger.position
    job_id = transform_job_id(run, spec)
    staged = await mesh.warehouse.stage_transform(run, spec, wanted, f"{job_id}-stage-{looked}")
    return r.TransformStarted(
        transform_id=spec.transform_id,
        job_id=job_id,
        statement=staged.statement,
        scope=wanted,
        looked=looked,
    )


def _started(run: Run, spec: TransformSpec) -> r.TransformStarted | None:
    job_id = transform_job_id(run, spec)
    return next((job for job in run.transform_jobs if job.job_id == job_id), None)


def transform_job_id(run: Run, spec: TransformSpec) -> str:
    """Return the id of the job that publishes a transform in the run's present attempt."""
    return f"cvg-{run.name.tenant}-{run.name.run}-transform-{spec.transform_id}-{run.attempt}"


def wanted_scope(mesh: Mesh, run: Run, spec: TransformSpec) -> r.Scope:
    """Return the run's published values and those that earlier runs left untransformed.

    Values of a scope with fewer or more columns, from before the pipeline was changed, stay marked.
    """
    pending = mesh.history.ledger.untransformed.get((run.name.parent, spec.transform_id), {})
    columns = [column for column, _ in spec.scope]
    left = [value for value in pending if len(value) == len(columns)]
    return scope(columns, sorted({*left, *published(run)}))


async def fail(mesh: Mesh, run: Run, error: BaseException) -> None:
    """Journal that a transform failed; raw rows stay published, silver is as it was."""
    run = mesh.run(run)
    if run.state is not RunState.TRANSFORMING:
        return
    done = run.transforms
    pending = [spec.transform_id for spec in run.spec.transforms if spec.transform_id not in done]
    failure = failure_of(error)
    advice = (
        "Raw rows are published; silver is as it was. Correct the transform, then "
        "`convergence runs retry`: it takes the transforms as they then stand."
    )
    failure = failure.model_copy(update={"advice": advice})
    await mesh.record(run, r.TransformFailed(transform_id=pending[0], failure=failure))


async def finish_overtaken(mesh: Mesh, run: Run) -> None:
    """Runs in TRANSFORM_FAILED whose values a later run has transformed have succeeded."""
    ledger = mesh.history.ledger
    for other in map(mesh.run, list(ledger.of(run.name.parent))):
        if other.state is not RunState.TRANSFORM_FAILED or other.publishing is None:
            continue
        left = [
            value
            for spec in other.spec.transforms
            for value in published(other)
            if value in ledger.untransformed.get((run.name.parent, spec.transform_id), {})
        ]
        if not left:
            await mesh.record(other, r.RunSucceeded())

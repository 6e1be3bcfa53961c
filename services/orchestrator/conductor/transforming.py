"""TRANSFORMING → SUCCEEDED or TRANSFORM_FAILED: silver follows raw, or stays as it was."""

from services.orchestrator.conductor.failures import failure_of
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.conductor.publishing import TableLocks
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import scope, values
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.specs import TransformSpec


async def transform(mesh: Mesh, run: Run, locks: TableLocks) -> None:
    """Run every transform that is not done, then end the run. Delayed errors may be tried again."""
    for spec in run.spec.transforms:
        if spec.transform_id in mesh.run(run).transforms:
            continue
        async with locks.held(spec.target.table_id(run.name.tenant), run.name):
            await _one(mesh, mesh.run(run), spec)
    await mesh.record(run, r.RunSucceeded())


async def _one(mesh: Mesh, run: Run, spec: TransformSpec) -> None:
    started = next((s for s in reversed(run.transform_jobs) if _is(run, s, spec)), None)
    if started is None:
        job_id = transform_job_id(run, spec)
        wanted = wanted_scope(mesh, run, spec)
        staged = await mesh.warehouse.stage_transform(run, spec, wanted, job_id)
        started = r.TransformStarted(
            transform_id=spec.transform_id,
            job_id=job_id,
            statement=staged.statement,
            scope=wanted,
        )
        run = await mesh.record(run, started)
    row_count = await mesh.warehouse.publish_transform(run, started)
    await mesh.record(
        run,
        r.TransformCompleted(
            transform_id=spec.transform_id,
            target_table=spec.target.table_id(run.name.tenant),
            row_count=row_count,
            scope=started.scope,
        ),
    )


def transform_job_id(run: Run, spec: TransformSpec) -> str:
    """Return the id of the job that publishes a transform in the run's present attempt."""
    return f"cvg-{run.name.tenant}-{run.name.run}-{spec.transform_id}-{run.attempt}"


def _is(run: Run, started: r.TransformStarted, spec: TransformSpec) -> bool:
    return started.job_id == transform_job_id(run, spec)


def wanted_scope(mesh: Mesh, run: Run, spec: TransformSpec) -> r.Scope:
    """Return the run's published values and those that earlier runs left untransformed."""
    assert run.publishing is not None
    pending = mesh.history.ledger.untransformed.get((run.name.parent, spec.transform_id), {})
    columns = [column for column, _ in run.publishing.scope] or [spec.scope[0][0]]
    return scope(columns, sorted({*pending, *values(run.publishing.scope)}))


async def fail(mesh: Mesh, run: Run, error: BaseException) -> None:
    """Journal that a transform failed; raw rows stay published, silver is as it was."""
    done = mesh.run(run).transforms
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
    for other in list(ledger.of(run.name.parent)):
        if other.state is not RunState.TRANSFORM_FAILED or other.publishing is None:
            continue
        left = [
            value
            for spec in other.spec.transforms
            for value in values(other.publishing.scope)
            if value in ledger.untransformed.get((run.name.parent, spec.transform_id), {})
        ]
        if not left:
            await mesh.record(other, r.RunSucceeded())

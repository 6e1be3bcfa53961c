"""PENDING → PLANNING → INGESTING: the source is split, the scope is fixed, the plan is journaled."""

from collections.abc import Iterable, Mapping, Sequence

from libs.common.errors import FailedPrecondition, Unavailable
from libs.common.names import PipelineName, RunName
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.journal.journal import RecordTooLarge
from services.orchestrator.judges.judges import Compiled
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.windows import Window
from services.orchestrator.specs import ColumnSpec, PipelineSpec
from services.orchestrator.workers.dispatcher import NoWorker
from services.orchestrator.workers.workers import Planned, SourceTooLarge

NO_SUITE = Compiled(document="", row_rule_count=0, table_rule_count=0)


class SourceChanged(FailedPrecondition):
    """A known name has other content."""

    reason = "SOURCE_CHANGED"


async def plan(mesh: Mesh, run: Run) -> None:
    """Journal the plan of a run. Raises ServiceError; Delayed ones may be tried again."""
    planned = await ask_worker(mesh, run.name, run.spec, window_of_run(run))
    suite = NO_SUITE
    if run.spec.quality.suite_document:
        suite = await mesh.judge.compile(run.name, run.spec)
    known, renamed = sort_inputs(
        mesh.history.ledger, run.name.parent, run.spec, planned, reload=run.created.reload
    )
    table = await mesh.warehouse.columns(run.spec)
    evolved = evolved_columns(planned, table)
    new = lacking(table, run.spec.with_columns(evolved).columns)
    left = tuple(chunk for chunk in planned.chunks if chunk.input_id not in known)
    inputs = tuple(dict.fromkeys(chunk.input_id for chunk in left))
    await _record(
        mesh,
        run,
        r.RunPlanned(
            chunks=left,
            scope=run.created.scope
            or scope_of_plan(mesh.history.ledger, run.name.parent, run.spec, inputs, planned),
            deliveries=inputs if run.created.window_start is None else (),
            named_deliveries=deliveries_of(planned),
            known_inputs=tuple(known),
            renamed_inputs=renamed,
            extra_columns=planned.extra_columns,
            evolved_columns=evolved,
            new_columns=new,
            suite=suite.document,
            direct=run.spec.direct
            and not suite.table_rule_count
            and not run.created.reload
            and not new,
            ingest_time=mesh.clock(),
            share=_changed_share(mesh, run.name.tenant),
        ),
    )


def _changed_share(mesh: Mesh, tenant: str) -> r.Share | None:
    """Return what auth says that the tenant may have, where the journal says something else."""
    share = mesh.shares(tenant)
    return None if share == mesh.history.ledger.share(tenant) else share


def evolved_columns(planned: Planned, table: Sequence[ColumnSpec]) -> tuple[tuple[str, str], ...]:
    """Return the columns (name, type) that a run has beside its schema's.

    A column that the table has keeps its name and type there.
    """
    known = {column.name.casefold(): (column.name, column.type) for column in table}
    return tuple(
        known.get(name.casefold(), (name, type_)) for name, type_ in planned.evolved_columns
    )


def lacking(table: Sequence[ColumnSpec], columns: Iterable[ColumnSpec]) -> tuple[str, ...]:
    """Return the columns that a table which is there does not have."""
    known = {column.name.casefold() for column in table}
    return tuple(c.name for c in columns if known and c.name.casefold() not in known)


async def _record(mesh: Mesh, run: Run, plan: r.RunPlanned) -> None:
    try:
        await mesh.record(run, plan)
    except RecordTooLarge as error:
        source = run.spec.source.source_id
        raise SourceTooLarge(
            f"the plan of {source} has {len(plan.chunks)} chunks in {error.metadata['bytes']} bytes, "
            f"and the journal takes {error.metadata['allowed']}; narrow the source, or deliver fewer "
            "and larger files",
            source=source,
            chunks=str(len(plan.chunks)),
            bytes=error.metadata["bytes"],
            allowed=error.metadata["allowed"],
        ) from error


async def ask_worker(
    mesh: Mesh, parent: PipelineName | RunName, spec: PipelineSpec, window: Window | None
) -> Planned:
    """Have a worker split the source; a worker that does not answer is replaced by another.

    Raises as PlanChunks does, and NoWorker if none can be reached.
    """
    away: Unavailable | None = None
    await mesh.requests_of_plan(spec)
    first = mesh.dispatcher.any()
    for worker in (first, *mesh.dispatcher.others(first)):
        if away is not None:
            await mesh.requests_of_plan(spec)  # those before may have been made
        try:
            return await worker.plan(parent, spec, window)
        except Unavailable as error:
            away = error if error.reason or away is None else away
    assert away is not None
    if away.reason:
        raise away
    raise NoWorker(f"no worker can be reached: {away}", retry_after=away.retry_after) from away


def window_of_run(run: Run) -> Window | None:
    """Return the window that the run was created for; None for deliveries."""
    start, end = run.created.window_start, run.created.window_end
    return Window(start=start, end=end) if start and end else None


def scope_of_plan(
    ledger: Ledger,
    pipeline: PipelineName,
    spec: PipelineSpec,
    inputs: tuple[str, ...],
    planned: Planned,
) -> r.Scope:
    """Return the scope that no window fixes, as literals; only `replace` has one.

    It is the objects that the plan reads, then those that stand under its deliveries and that no
    manifest names any more.
    """
    if spec.write.mode != "replace":
        return ()
    table = spec.target.table_id(pipeline.tenant)
    standing = [
        name
        for delivery in (deliveries_of(planned) if spec.by_delivery else ())
        for name in ledger.standing(pipeline, table, delivery)
    ]
    return spec.scope_over(tuple(dict.fromkeys((*inputs, *standing))))


def deliveries_of(planned: Planned) -> tuple[str, ...]:
    """Return every delivery that manifests name, with a file or without."""
    of_chunks = (chunk.delivery for chunk in planned.chunks if chunk.delivery)
    return tuple(dict.fromkeys((*planned.deliveries, *of_chunks)))


def sort_inputs(
    ledger: Ledger, pipeline: PipelineName, spec: PipelineSpec, planned: Planned, *, reload: bool
) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """Split the plan's inputs by what this pipeline has published before.

    Returns:
        Inputs to leave out (`append` only), and pairs (new name, name under which the same content
        was published).

    Raises:
        SourceChanged: `append`, and a known name has other content.
    """
    before = ledger.inputs.get((pipeline, spec.target.table_id(pipeline.tenant)), {})
    known: list[str] = []
    for name, content in {c.input_id: c.content_hash for c in planned.chunks}.items():
        if spec.write.mode == "append" and not reload and name in before:
            if before[name] != content:
                raise source_changed(name)
            known.append(name)
    return known, renamed_in(planned.chunks, before) if counts_twice(spec) else ()


def counts_twice(spec: PipelineSpec) -> bool:
    """Return whether content that is read under two names is counted twice: not where keys decide."""
    return spec.write.mode != "merge"


def renamed_in(chunks: Iterable[r.Chunk], before: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return pairs (new name, name in `before`) of inputs that have the same content.

    Inputs of a delivery are none of them: a newer manifest names the same content anew.
    """
    names = {content: name for name, content in before.items() if content}
    inputs = {chunk.input_id: chunk.content_hash for chunk in chunks if not chunk.delivery}
    return tuple(
        (name, names[content])
        for name, content in inputs.items()
        if content and name not in before and content in names
    )


def twins_in(chunks: Iterable[r.Chunk]) -> tuple[tuple[str, str], ...]:
    """Return pairs (later name, earlier name) of inputs of one plan that have the same content.

    Inputs of a delivery are none of them: the manifest says that each is a file of its own.
    """
    first: dict[str, str] = {}
    twins: dict[str, str] = {}
    for chunk in chunks:
        if not chunk.content_hash or chunk.delivery:
            continue
        name = first.setdefault(chunk.content_hash, chunk.input_id)
        if name != chunk.input_id:
            twins[chunk.input_id] = name
    return tuple(twins.items())


def source_changed(name: str) -> SourceChanged:
    """Return the refusal of an input that was published before with other content."""
    return SourceChanged(
        f"{name} was published before with other content; `append` reads an input once: "
        "give new content a new name, or start the run with reload",
        source=name,
    )

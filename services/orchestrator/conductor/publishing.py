"""AUDITING or HELD → PUBLISHING → TRANSFORMING: intent recorded, the idempotent effect, the outcome."""

import asyncio
import contextlib
from collections.abc import Iterable
from decimal import Decimal

from libs.common.money import total
from libs.common.names import RunName
from services.orchestrator.conductor import auditing
from services.orchestrator.conductor.ingesting import staging_expiry
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.conductor.planning import SourceChanged, source_changed
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger, key_of
from services.orchestrator.runs.run import IllegalMove, Run
from services.orchestrator.runs.states import RunState
from services.orchestrator.warehouse.statements import money_columns
from services.orchestrator.warehouse.warehouse import Counted

READY = frozenset({RunState.AUDITING, RunState.HELD})


class TableLocks:
    """One run at a time publishes to a table, and one transforms into it.

    A lock belongs to a run, not to a task: it is taken before the intent is journaled and given back
    when the outcome is, so that a restarted task or process finds it where it was.
    """

    def __init__(self) -> None:
        self._holders: dict[str, RunName] = {}
        self._given = asyncio.Event()

    def restore(self, table: str, run: RunName) -> None:
        """Give the lock to a run whose intent the journal holds."""
        holder = self._holders.setdefault(table, run)
        assert holder == run, f"{holder} and {run} both write to {table}"

    async def take(self, table: str, run: RunName) -> None:
        """Wait until `run` holds the lock; at once if it does already."""
        while self._holders.get(table, run) != run:
            await self._given.wait()
        self._holders[table] = run

    def holder(self, table: str) -> RunName | None:
        """Return the run that holds the lock; None if nobody does."""
        return self._holders.get(table)

    def give(self, table: str, run: RunName) -> None:
        """Give the lock back; nothing happens if `run` does not hold it."""
        if self._holders.get(table) == run:
            del self._holders[table]
            self._given.set()
            self._given = asyncio.Event()


def publishing_job_id(run: Run) -> str:
    """Return the id of the run's publishing job: the same until that job is done and failed."""
    return f"cvg-{run.name.tenant}-{run.name.run}-publish-{run.attempt}"


async def intend(mesh: Mesh, run: Run, *, by: str = "", reason: str = "") -> Run:
    """Journal what will be published: the point of no return. Call it under the table's lock.

    Returns:
        The run PUBLISHING; SUPERSEDED when newer looks at its whole scope are published; HELD when
        its audit did not know yet that one of its inputs is published under another name.

    Raises:
        IllegalMove: it was cancelled, or is published already.
        SourceChanged: an input was published meanwhile with other content, or (of a HELD run) its
            content under another name, which nobody who approves could know.
        HoldNotPossible: as above, of a direct `append`.
        SchemaChanged: a column of the table is gone or retyped since the run was planned.
    """
    run = mesh.run(run).require(READY)
    assert run.plan is not None
    if newer := mesh.history.ledger.superseded(run):
        return await mesh.record(run, r.RunSuperseded(by_run=newer))
    newest = mesh.history.ledger.newest(run)
    mine = newest.mine
    chunks, known = fresh_chunks(mesh.history.ledger, run)
    if run.deliveries:
        replaced = {name for _, names in mine[:1] for name in names}
        chunks = tuple(chunk for chunk in chunks if chunk.input_id in replaced)
    if renamed := _unseen(mesh.history.ledger, run):
        return await _hold(mesh, run, renamed)
    staged = not run.plan.direct and bool(chunks or mine)
    if staged:
        await mesh.warehouse.check_columns(run)
    if run.state is RunState.HELD:
        await mesh.warehouse.keep_staging(run, expire_time=staging_expiry(mesh, run))
    old = await mesh.warehouse.published_by_scope(run, mine) if mine else {}
    statement = await mesh.warehouse.merge_statement(run, mine, without=known) if staged else ""
    mesh.run(run).require(READY)
    return await mesh.record(
        run,
        r.RunPublishing(
            scope=mine,
            left_out=newest.older or r.scope_of_inputs(known),
            deliveries=newest.deliveries,
            inputs=tuple({c.input_id: c.content_hash for c in chunks}.items()),
            streams=direct_streams(run, chunks),
            job_id=publishing_job_id(run) if staged else "",
            statement=statement,
            old_row_count=sum(counted.row_count for counted in old.values()),
            old_money=_summed(run, old),
            by=by,
            reason=reason,
        ),
    )


def fresh_chunks(ledger: Ledger, run: Run) -> tuple[tuple[r.Chunk, ...], tuple[str, ...]]:
    """Split the plan's chunks by what was published since they were planned (`append` only).

    Returns:
        Chunks to publish, and inputs to leave out: this pipeline has them by now.

    Raises:
        SourceChanged: an input was published with other content.
    """
    assert run.plan is not None
    if run.spec.write.mode != "append" or run.created.reload:
        return run.plan.chunks, ()
    before = ledger.inputs_of(run)
    known = {c.input_id: c.content_hash for c in run.plan.chunks if c.input_id in before}
    for name, content in known.items():
        if before[name] != content:
            raise source_changed(name)
    return tuple(c for c in run.plan.chunks if c.input_id not in known), tuple(known)


def _unseen(ledger: Ledger, run: Run) -> auditing.Pairs:
    """Return the renamed inputs that neither the plan nor the reasons of a hold name."""
    assert run.plan is not None
    seen = {*run.plan.renamed_inputs, *(run.held.renamed_inputs if run.held else ())}
    return tuple(pair for pair in auditing.renamed_inputs(ledger, run) if pair not in seen)


async def _hold(mesh: Mesh, run: Run, renamed: auditing.Pairs) -> Run:
    reasons = auditing.renamed_reasons(mesh.history.ledger, run, renamed)
    if run.state is not RunState.HELD:
        return await auditing.hold(mesh, run, reasons, renamed)
    raise SourceChanged(
        f"{'; '.join(reasons)} since this run was held: discard it and start another, "
        "which is held for that and may then be approved",
        source=renamed[0][0],
    )


def direct_streams(run: Run, chunks: Iterable[r.Chunk]) -> tuple[str, ...]:
    """Return the streams of chunks that a direct `append` commits, in plan order."""
    assert run.plan is not None
    if not run.plan.direct:
        return ()
    done = (run.landed[chunk.chunk_id] for chunk in chunks)
    return tuple(landed.stream for landed in done if landed.stream)


def _summed(run: Run, counts: dict[str, Counted]) -> tuple[tuple[str, Decimal], ...]:
    return tuple(
        (column, total(counted.money[i] for counted in counts.values()))
        for i, column in enumerate(money_columns(run.spec.columns))
    )


async def publish(mesh: Mesh, run: Run) -> Run:
    """Make the rows visible and journal that they are. Call it under the table's lock; may be repeated.

    Returns:
        The run TRANSFORMING, or INGESTING when the streams of a direct `append` are gone.

    Raises:
        PublishFailed: the job is done and failed.
    """
    publishing = run.publishing
    assert publishing is not None
    if publishing.streams and not await mesh.warehouse.commit_target(run, publishing.streams):
        lost = tuple(run.landed)
        cause = "the streams ended before they were committed, and the target has no row of the run"
        return await mesh.record(run, r.ChunksLost(chunk_ids=lost, cause=cause))
    if publishing.job_id:
        await mesh.warehouse.add_columns(run)
        await mesh.warehouse.publish(run, publishing)
    won = await _won(mesh, run) if run.spec.write.mode == "merge" else None
    published = r.RunPublished(restatement=await _restated(mesh, run), won=won)
    return await mesh.record(run, published)


async def _won(mesh: Mesh, run: Run) -> r.Visible:
    """Count what a `merge` made visible: nobody publishes to the table before this is recorded."""
    assert run.publishing is not None
    columns = money_columns(run.spec.columns)
    if not run.publishing.job_id:
        return r.Visible(row_count=0, money=tuple((column, Decimal(0)) for column in columns))
    counted = await mesh.warehouse.published_of(run)
    return r.Visible(
        row_count=counted.row_count, money=tuple(zip(columns, counted.money, strict=True))
    )


async def _restated(mesh: Mesh, run: Run) -> r.Restatement | None:
    publishing = run.publishing
    assert publishing is not None
    if not publishing.scope:
        return None
    new = await mesh.warehouse.published_by_scope(run, publishing.scope)
    sums = dict(_summed(run, new))
    return r.Restatement(
        old_row_count=publishing.old_row_count,
        new_row_count=sum(counted.row_count for counted in new.values()),
        money=tuple(
            r.Change(column=column, old=old, new=sums[column])
            for column, old in publishing.old_money
        ),
    )


async def tidy(mesh: Mesh, run: Run) -> None:
    """After a publication: drop what it made needless. May be repeated, at any later time.

    Held and failed runs whose whole scope has newer looks are SUPERSEDED by it.
    """
    assert run.publishing is not None
    await mesh.warehouse.tidy_published(run, run.publishing)
    older = [
        other
        for other in mesh.history.ledger.of(run.name.parent)
        if other.state in {RunState.HELD, RunState.FAILED}
    ]
    for other in older:
        await mesh.recall(key_of(other))
        if newer := mesh.history.ledger.superseded(other):
            with contextlib.suppress(IllegalMove):
                await mesh.record(other, r.RunSuperseded(by_run=newer))

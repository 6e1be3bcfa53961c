"""AUDITING → HELD, PUBLISHING, SUPERSEDED or FAILED: nothing a worker said is believed before it was counted."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal

from libs.common.errors import FailedPrecondition, ServiceError
from libs.common.money import total
from services.orchestrator.conductor.assignments import TRIES_PER_EPOCH
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.conductor.planning import counts_twice, renamed_in, twins_in
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.receipts import money_totals
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import OpenAiOptions
from services.orchestrator.warehouse.statements import money_columns
from services.orchestrator.warehouse.warehouse import Counted

Pairs = tuple[tuple[str, str], ...]


class AuditMismatch(ServiceError):
    """BigQuery holds something else than the workers said."""

    reason = "AUDIT_MISMATCH"


class QualityFailed(FailedPrecondition):
    """Expectations failed, and the pipeline says `on_failure: fail`."""

    reason = "QUALITY_FAILED"


class HoldNotPossible(FailedPrecondition):
    """A direct `append` has no staging in which its rows could wait."""

    reason = "HOLD_NOT_POSSIBLE"


async def audit(mesh: Mesh, run: Run) -> Run:
    """Count, judge and decide. Returns the run AUDITING (ready to publish), HELD, SUPERSEDED or INGESTING.

    Raises:
        AuditMismatch, QualityFailed, HoldNotPossible: the run fails.
    """
    assert run.plan is not None
    check_read_counts(run)
    lost = await (_count_streams if run.plan.direct else _count_staging)(mesh, run)
    if not lost:
        await show_quarantine(mesh, run)
        lost = await _count_quarantine(mesh, run)
    if lost:
        cause = "their streams ended before their rows were committed"
        return await mesh.record(run, r.ChunksLost(chunk_ids=tuple(lost), cause=cause))
    direct = run.plan.direct
    run = await _judge(mesh, run)
    renamed = renamed_inputs(mesh.history.ledger, run)
    reasons = [
        *money_reasons(run),
        *renamed_reasons(mesh.history.ledger, run, renamed),
        *twin_reasons(run),
        *empty_reasons(run),
    ]
    if not direct:
        reasons += await _shrink_reasons(mesh, run)
    return await _decide(mesh, run, reasons, renamed)


async def show_quarantine(mesh: Mesh, run: Run) -> None:
    """Commit the quarantine of all done chunks; what an earlier try of one left is deleted."""
    if run.plan is None:
        return
    done = list(run.landed.values())
    await mesh.warehouse.commit_quarantine(run, done)
    if run.reread:
        named = [(landed.chunk_id, landed.chunk_attempt) for landed in done]
        await mesh.warehouse.delete_stray_quarantine(run, named, below=_later_epochs(mesh))


def _later_epochs(mesh: Mesh) -> int:
    """Return the least number of tries that are none of this epoch or an earlier one."""
    return (mesh.history.epoch + 1) * TRIES_PER_EPOCH


async def _count_quarantine(mesh: Mesh, run: Run) -> list[str]:
    """Compare quarantine with the journal; return chunks of which rows are not there.

    Their streams have ended, or a newer look that was published meanwhile has deleted them.
    """
    done = [landed for landed in run.landed.values() if landed.quarantined_row_count]
    counts = await mesh.warehouse.quarantine_counts(run) if done else {}
    lost = []
    for landed in done:
        counted = counts.get((landed.chunk_id, landed.chunk_attempt), 0)
        if counted < landed.quarantined_row_count:
            lost.append(landed.chunk_id)
        elif counted > landed.quarantined_row_count:
            raise AuditMismatch(
                f"chunk {landed.chunk_id}: quarantine holds {counted} rows, the worker said "
                f"{landed.quarantined_row_count}",
                chunk=landed.chunk_id,
            )
    return lost


async def _count_streams(mesh: Mesh, run: Run) -> list[str]:
    """Compare the streams of a direct `append` with the journal; return chunks whose are gone."""
    done = [landed for landed in run.landed.values() if landed.landed_row_count]
    counts = await mesh.warehouse.stream_counts([landed.stream for landed in done])
    lost = []
    for landed in done:
        counted = counts.get(landed.stream)
        if counted is None:
            lost.append(landed.chunk_id)
        elif counted != landed.landed_row_count:
            raise AuditMismatch(
                f"chunk {landed.chunk_id}: its stream holds {counted} rows, the worker said "
                f"{landed.landed_row_count}",
                chunk=landed.chunk_id,
            )
    return lost


async def _count_staging(mesh: Mesh, run: Run) -> list[str]:
    """Compare staging with the journal, deleting strays; return chunks whose rows are not there."""
    counts = await mesh.warehouse.chunk_counts(run)
    named = {(done.chunk_id, done.chunk_attempt): done for done in run.landed.values()}
    if set(counts) - set(named):
        await mesh.warehouse.delete_strays(run, named, below=_later_epochs(mesh))
    lost = []
    for key, done in named.items():
        counted = counts.get(key)
        if done.landed_row_count and counted is None:
            lost.append(done.chunk_id)
        elif counted is not None:
            check_counted(run, done, counted)
    return lost


def check_counted(run: Run, done: r.Landed, counted: Counted) -> None:
    """Raise AuditMismatch unless rows and sums in staging are those of the worker."""
    sums = {money.column: money.landed for money in done.money}
    said = tuple(sums.get(column, Decimal(0)) for column in money_columns(run.spec.columns))
    if counted.row_count != done.landed_row_count or counted.money != said:
        raise AuditMismatch(
            f"chunk {done.chunk_id}: staging holds {counted.row_count} rows with sums "
            f"{_texts(counted.money)}, the worker said {done.landed_row_count} rows with sums "
            f"{_texts(said)}",
            chunk=done.chunk_id,
        )


def check_read_counts(run: Run) -> None:
    """Raise AuditMismatch unless every planned chunk is done and every row read has a place."""
    assert run.plan is not None
    for chunk in run.plan.chunks:
        done = run.landed.get(chunk.chunk_id)
        if done is None:
            raise AuditMismatch(f"chunk {chunk.chunk_id} is not done", chunk=chunk.chunk_id)
        if done.read_row_count != done.landed_row_count + done.quarantined_row_count:
            raise AuditMismatch(
                f"chunk {chunk.chunk_id}: {done.read_row_count} rows read, "
                f"{done.landed_row_count} landed, {done.quarantined_row_count} quarantined",
                chunk=chunk.chunk_id,
            )
        expected = chunk.expected_row_count
        if expected is not None and done.read_row_count != expected:
            raise AuditMismatch(
                f"chunk {chunk.chunk_id}: the source says {expected} rows, "
                f"{done.read_row_count} were read",
                chunk=chunk.chunk_id,
            )
        for money in done.money:
            if money.read != total((money.landed, money.quarantined)):
                raise AuditMismatch(
                    f"chunk {chunk.chunk_id}: {money.column} read {money.read:f}, landed "
                    f"{money.landed:f}, quarantined {money.quarantined:f}",
                    chunk=chunk.chunk_id,
                )


async def _judge(mesh: Mesh, run: Run) -> Run:
    assert run.plan is not None
    if not run.plan.suite or _nothing_new(run.plan):
        return await mesh.record(run, r.RunAudited(success=True))
    table = "" if run.plan.direct else mesh.warehouse.staging(run)
    verdict = await mesh.judge.judge(
        run.name, run.spec, attempt=run.attempt, metrics=merged_metrics(run), table=table
    )
    return await mesh.record(run, r.RunAudited(success=verdict.success, results=verdict.results))


def _nothing_new(plan: r.RunPlanned) -> bool:
    """Whether everything that there is was published before: then there is nothing to judge."""
    return bool(plan.known_inputs) and not plan.chunks


def merged_metrics(run: Run) -> list[r.Metric]:
    """Add up the row rules' metrics over all chunks, in the order of the first chunk."""
    merged: dict[str, r.Metric] = {}
    for metric in (m for done in run.landed.values() for m in done.metrics):
        before = merged.get(metric.rule_id)
        merged[metric.rule_id] = metric if before is None else _add(before, metric)
    return list(merged.values())


def _add(one: r.Metric, other: r.Metric) -> r.Metric:
    return r.Metric(
        rule_id=one.rule_id,
        element_count=one.element_count + other.element_count,
        missing_count=one.missing_count + other.missing_count,
        unexpected_count=one.unexpected_count + other.unexpected_count,
        samples=tuple(dict.fromkeys((*one.samples, *other.samples)))[:20],
    )


def money_reasons(run: Run) -> list[str]:
    """Quarantined money always holds a run, and so does a money cell that is no number."""
    reasons = []
    for money in money_totals(run):
        if money.quarantined_row_count or money.quarantined:
            reasons.append(
                f"{money.quarantined_row_count or 'some'} quarantined rows carry {money.quarantined:f} of {money.column}; "
                "see `convergence runs quarantine`"
            )
        if money.unparsable_count:
            reasons.append(
                f"{money.unparsable_count} cells of {money.column} are no number that fits; "
                "see `convergence runs quarantine`"
            )
    return reasons


def renamed_inputs(ledger: Ledger, run: Run) -> Pairs:
    """Return pairs (new name, name under which the same content is published by now)."""
    assert run.plan is not None
    if not counts_twice(run.spec):
        return ()
    found = renamed_in(run.plan.chunks, ledger.inputs_of(run))
    return tuple({**dict(run.plan.renamed_inputs), **dict(found)}.items())


def renamed_reasons(ledger: Ledger, run: Run, renamed: Pairs) -> list[str]:
    """Known content under a new name is held: it would be counted twice."""
    return [
        f"{new} has the same content as {old}, which {ledger.publisher(run, old)} has published"
        for new, old in renamed
    ]


def twin_reasons(run: Run) -> list[str]:
    """So is content that one run finds under two names, where there are rows to count twice."""
    assert run.plan is not None
    if not counts_twice(run.spec):
        return []
    read = {c.input_id for c in run.plan.chunks if run.landed[c.chunk_id].read_row_count}
    return [
        f"{name} has the same content as {other}, which this run reads too"
        for name, other in twins_in(run.plan.chunks)
        if name in read
    ]


def empty_reasons(run: Run) -> list[str]:
    """A run that found nothing is held, unless it left out what it had read before."""
    assert run.plan is not None
    read = sum(done.read_row_count for done in run.landed.values())
    known = _nothing_new(run.plan)
    if run.scope or run.deliveries or read or known or said_empty(run):
        return []
    return ["the source has no rows, and does not say itself that it is empty"]


async def _shrink_reasons(mesh: Mesh, run: Run) -> list[str]:
    if run.deliveries:
        return await _shrunken_deliveries(mesh, run)
    if not run.scope:
        return []
    before = await mesh.warehouse.published_by_scope(run, run.scope)
    now = await mesh.warehouse.staged_by_scope(run)
    empty = said_empty(run)
    unseen = [value for value in run.scope[0][1] if value not in {*before, *now, *empty}]
    return [
        *(f"{v}: no rows, and the source does not say that it is empty" for v in unseen),
        *shrink_reasons(before, now, empty, money_columns(run.spec.columns)),
    ]


async def _shrunken_deliveries(mesh: Mesh, run: Run) -> list[str]:
    """Compare each delivery as a whole: an object that is no longer named has not shrunken."""
    groups = [(name or objects[0], objects) for name, objects in mesh.history.ledger.groups(run)]
    scope = run.spec.scope_over(tuple(dict.fromkeys(x for _, objects in groups for x in objects)))
    standing = await mesh.warehouse.published_by_scope(run, scope) if scope else {}
    staged = await mesh.warehouse.staged_by_scope(run) if run.scope else {}
    before, now = _grouped(groups, standing), _grouped(groups, staged)
    empty = _deliveries_said_empty(run)
    unseen = [name for name, _ in groups if name not in {*before, *now, *empty}]
    return [
        *(f"{v}: no rows, and the source does not say that it is empty" for v in unseen),
        *shrink_reasons(before, now, empty, money_columns(run.spec.columns)),
    ]


def _grouped(
    groups: Iterable[tuple[str, tuple[str, ...]]], counts: Mapping[str, Counted]
) -> dict[str, Counted]:
    """Add up what objects have by group; a group without any rows is left out."""
    found = {}
    for name, objects in groups:
        counted = [counts[x] for x in objects if x in counts]
        if counted:
            sums = zip(*(one.money for one in counted), strict=True)
            found[name] = Counted(
                row_count=sum(one.row_count for one in counted),
                money=tuple(total(amounts) for amounts in sums),
            )
    return found


def _deliveries_said_empty(run: Run) -> frozenset[str]:
    """Return the deliveries whose manifests name no file, or only files that they say have no row."""
    assert run.plan is not None
    some = {chunk.delivery for chunk in run.plan.chunks if chunk.expected_row_count != 0}
    return frozenset(run.deliveries) - some


def said_empty(run: Run) -> frozenset[str]:
    """Return the scope values of which every report of the source says that they have no rows."""
    options = run.spec.source.options
    reports = len(options.reports) if isinstance(options, OpenAiOptions) else 1
    counts = [c for done in run.landed.values() for c in done.scope_counts if c.values]
    zeros = Counter(count.values[0] for count in counts if count.row_count == 0)
    some = {count.values[0] for count in counts if count.row_count}
    return frozenset(v for v, said in zeros.items() if said >= reports and v not in some)


def shrink_reasons(
    before: Mapping[str, Counted],
    now: Mapping[str, Counted],
    empty: frozenset[str],
    money: Iterable[str],
) -> list[str]:
    """Say for which scope values less than half of the rows or money is left."""
    reasons = []
    for value, old in sorted(before.items()):
        if value in empty:
            continue
        new = now.get(value)
        if new is None:
            reasons.append(f"{value}: had {old.row_count} rows, has none now")
            continue
        if 2 * new.row_count < old.row_count:
            reasons.append(f"{value}: had {old.row_count} rows, has {new.row_count} now")
        reasons += [
            f"{value}: {column} was {was:f}, is {amount:f} now"
            for column, was, amount in zip(money, old.money, new.money, strict=True)
            if 2 * abs(amount) < abs(was)
        ]
    return reasons


async def _decide(mesh: Mesh, run: Run, reasons: list[str], renamed: Pairs) -> Run:
    assert run.audited is not None
    quality = run.spec.quality
    failed = failed_expectations(run.audited)
    if failed and quality.on_failure == "fail":
        raise QualityFailed("; ".join(failed), expectations=str(len(failed)))
    if failed and quality.on_failure == "hold":
        reasons = [*failed, *reasons]
    return await hold(mesh, run, reasons, renamed) if reasons else run


async def hold(mesh: Mesh, run: Run, reasons: Iterable[str], renamed: Pairs) -> Run:
    """AUDITING → HELD, or SUPERSEDED where nobody needs its rows any more. Raises HoldNotPossible."""
    assert run.plan is not None
    if run.plan.direct:
        raise HoldNotPossible("; ".join(reasons))
    expire = mesh.clock() + timedelta(seconds=run.spec.quality.hold_for_seconds)
    await mesh.warehouse.keep_staging(run, expire_time=expire + timedelta(days=1))
    if newer := mesh.history.ledger.superseded(run):
        return await mesh.record(run, r.RunSuperseded(by_run=newer))
    detail = r.RunHeld(reasons=tuple(reasons), expire_time=expire, renamed_inputs=renamed)
    return await mesh.record(run, detail)


def failed_expectations(audited: r.RunAudited) -> list[str]:
    """Say which expectations failed the verdict, one sentence each; empty if it succeeded."""
    if audited.success:
        return []
    return [_sentence(x) for x in audited.results if not x.success and x.severity != "info"]


def _sentence(result: r.Result) -> str:
    about = f" of {result.column}" if result.column else ""
    if result.unexpected_count is not None:
        found = f"{result.unexpected_count} of {result.element_count} rows break it"
    else:
        found = f"observed {result.observed_value}"
    return f"{result.expectation_type}{about} failed: {found} (allowed: {result.kwargs})"


def _texts(amounts: Iterable[Decimal]) -> str:
    return ", ".join(f"{amount:f}" for amount in amounts) or "none"

"""What a run did, computed from its records."""

import dataclasses
from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from libs.common.money import difference, total
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import RunState


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MoneyLine:
    """Sums of one decimal column; read = landed + quarantined + outdated."""

    column: str
    read: Decimal
    landed: Decimal
    quarantined: Decimal
    outdated: Decimal
    unparsable_count: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Everything a person asks after a run."""

    inputs: tuple[str, ...]
    known_inputs: tuple[str, ...]
    chunk_count: int
    retried_chunk_count: int
    read_row_count: int
    landed_row_count: int
    quarantined_row_count: int
    outdated_row_count: int
    read_bytes: int
    money: tuple[MoneyLine, ...]
    expectation_count: int
    failed_expectation_count: int
    job_ids: tuple[str, ...]
    left_out: r.Scope
    restatement: r.Restatement | None
    transforms: tuple[r.TransformCompleted, ...]
    duration: timedelta
    coerced_cell_count: int


def money_totals(run: Run) -> list[r.Money]:
    """Add up the money of all chunks, by column in order of first appearance."""
    return sums(run.landed.values())


def sums(landed: Iterable[r.Landed]) -> list[r.Money]:
    """Add up the money of chunks, by column in order of first appearance."""
    totals: dict[str, r.Money] = {}
    for money in (m for done in landed for m in done.money):
        before = totals.get(money.column)
        totals[money.column] = money if before is None else _add(before, money)
    return list(totals.values())


def _add(one: r.Money, other: r.Money) -> r.Money:
    return r.Money(
        column=one.column,
        read=total((one.read, other.read)),
        landed=total((one.landed, other.landed)),
        quarantined=total((one.quarantined, other.quarantined)),
        unparsable_count=one.unparsable_count + other.unparsable_count,
        quarantined_row_count=one.quarantined_row_count + other.quarantined_row_count,
    )


def _visible(run: Run) -> tuple[int, dict[str, Decimal]]:
    """Return rows and sums that were published: all that landed, but for what was left out or lost its key."""
    publishing, published = run.publishing, run.published
    if published and published.won:
        return published.won.row_count, dict(published.won.money)
    if publishing and publishing.left_out and published and published.restatement:
        new = published.restatement
        return new.new_row_count, {change.column: change.new for change in new.money}
    done = list(run.landed.values())
    if publishing and publishing.left_out and run.plan:
        inputs = {name for name, _ in publishing.inputs}
        chunks = {c.chunk_id for c in run.plan.chunks if c.input_id in inputs}
        done = [landed for landed in done if landed.chunk_id in chunks]
    return sum(d.landed_row_count for d in done), {m.column: m.landed for m in sums(done)}


def receipt_of(run: Run) -> Receipt | None:
    """Return the receipt of a run whose rows are published and which rests; None otherwise."""
    if run.state not in {RunState.SUCCEEDED, RunState.TRANSFORM_FAILED} or run.plan is None:
        return None
    done = list(run.landed.values())
    results = run.audited.results if run.audited else ()
    publishing = run.publishing
    landed, amounts = _visible(run)
    jobs = [publishing.job_id] if publishing and publishing.job_id else []
    return Receipt(
        inputs=tuple(dict.fromkeys(c.input_id for c in run.plan.chunks)),
        known_inputs=run.plan.known_inputs,
        chunk_count=len(run.plan.chunks),
        retried_chunk_count=sum(d.try_count > 1 for d in done),
        read_row_count=sum(d.read_row_count for d in done),
        landed_row_count=landed,
        quarantined_row_count=sum(d.quarantined_row_count for d in done),
        outdated_row_count=sum(d.landed_row_count for d in done) - landed,
        read_bytes=sum(d.read_bytes for d in done),
        money=tuple(
            MoneyLine(
                column=m.column,
                read=m.read,
                landed=amounts.get(m.column, Decimal(0)),
                quarantined=m.quarantined,
                outdated=difference(m.landed, amounts.get(m.column, Decimal(0))),
                unparsable_count=m.unparsable_count,
            )
            for m in money_totals(run)
        ),
        expectation_count=len(results),
        failed_expectation_count=sum(not x.success for x in results),
        job_ids=(*jobs, *(s.job_id for s in run.transform_jobs)),
        left_out=publishing.left_out if publishing else (),
        restatement=run.published.restatement if run.published else None,
        transforms=tuple(run.transforms.values()),
        duration=(run.end_time or run.update_time) - run.create_time,
        coerced_cell_count=sum(d.coerced_cell_count for d in done),
    )

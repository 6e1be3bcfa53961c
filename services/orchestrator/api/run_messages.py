"""Runs, events and results as messages."""

from collections import OrderedDict
from datetime import datetime
from typing import Final

from convergence.common.v1 import failure_pb2
from convergence.orchestrator.v1 import run_pb2
from google.protobuf import duration_pb2, timestamp_pb2

from libs.common.money import difference, plain
from libs.common.names import RunName
from services.orchestrator.conductor.live import Live
from services.orchestrator.runs import records as r
from services.orchestrator.runs.receipts import MoneyLine, Receipt, receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.sentences import sentence
from services.orchestrator.runs.telling import Told

NO_LIVE: Final = Live()
MOST_KEPT: Final = 128
"""Messages of runs that are kept: one of a run of two thousand files has some 200 KiB."""


class KeptMessages:
    """Messages of runs as their records alone tell them, each made once for many who ask.

    A record makes another Run of a run, and that another message. Nobody may change what is returned.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[RunName, tuple[Run, run_pb2.Run]] = OrderedDict()

    def of(self, run: Run) -> run_pb2.Run:
        kept = self._kept.get(run.name)
        if kept is None or kept[0] is not run:
            kept = run, run_message(run)
            self._kept[run.name] = kept
        self._kept.move_to_end(run.name)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return kept[1]


def stamp(moment: datetime | None) -> timestamp_pb2.Timestamp | None:
    """Return a moment as a message; None stays unset."""
    if moment is None:
        return None
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(moment)
    return message


def run_message(run: Run, live: Live = NO_LIVE, missing: tuple[str, ...] = ()) -> run_pb2.Run:
    """Return a run, with what workers said last about chunks that they have now.

    `missing` are the pipelines that it still waits for.
    """
    receipt = receipt_of(run)
    created = run.created
    return run_pb2.Run(
        name=str(run.name),
        state=f"RUN_STATE_{run.state}",
        attempt=run.attempt,
        spec_hash=run.spec.spec_hash,
        window=run_pb2.Window(
            start_time=stamp(created.window_start),
            end_time=stamp(created.window_end),
            deliveries=run.plan.deliveries if run.plan else (),
        ),
        scope=scope_message(run.scope),
        create_time=stamp(run.create_time),
        update_time=stamp(run.update_time),
        end_time=stamp(run.end_time),
        progress=_progress(run, live),
        failure=_failure(run.failure) if run.failure else None,
        hold_reasons=run.held.reasons if run.held else (),
        hold_expire_time=stamp(run.held.expire_time) if run.held else None,
        receipt=_receipt(receipt) if receipt else None,
        trace_id=created.traceparent.split("-")[1] if created.traceparent else "",
        position=run.position,
        created_by=created.created_by,
        cancel_reason=run.cancel.reason if run.cancel else "",
        fire_time=stamp(created.fire_time),
        waits_for=missing,
        wait_expire_time=stamp(created.after_expire_time if missing else None),
        lane=f"RUN_LANE_{run.lane}",
        backfill=created.of_backfill.backfill if created.of_backfill else "",
    )


def scope_message(scope: r.Scope) -> list[run_pb2.ScopeValues]:
    return [run_pb2.ScopeValues(column=column, values=values) for column, values in scope]


def _progress(run: Run, live: Live) -> run_pb2.RunProgress:
    beats = live.beats.values()
    done = run.landed.values()
    return run_pb2.RunProgress(
        chunk_count=len(run.plan.chunks) if run.plan else 0,
        done_chunk_count=len(run.landed),
        running_chunk_count=len(live.beats),
        row_count=sum(d.read_row_count for d in done) + sum(b.row_count for b in beats),
        read_bytes=sum(d.read_bytes for d in done) + sum(b.read_bytes for b in beats),
    )


def _failure(failure: r.Failure) -> failure_pb2.Failure:
    return failure_pb2.Failure(
        kind=f"FAILURE_KIND_{failure.kind.upper()}",
        reason=failure.reason,
        message=failure.message,
        advice=failure.advice,
        data_safe=failure.data_safe,
        metadata=failure.metadata,
    )


def _receipt(receipt: Receipt) -> run_pb2.Receipt:
    duration = duration_pb2.Duration()
    duration.FromTimedelta(receipt.duration)
    return run_pb2.Receipt(
        inputs=receipt.inputs,
        known_inputs=receipt.known_inputs,
        chunk_count=receipt.chunk_count,
        retried_chunk_count=receipt.retried_chunk_count,
        read_row_count=receipt.read_row_count,
        landed_row_count=receipt.landed_row_count,
        quarantined_row_count=receipt.quarantined_row_count,
        outdated_row_count=receipt.outdated_row_count,
        read_bytes=receipt.read_bytes,
        money=[money_message(line) for line in receipt.money],
        expectation_count=receipt.expectation_count,
        failed_expectation_count=receipt.failed_expectation_count,
        job_ids=receipt.job_ids,
        left_out=scope_message(receipt.left_out),
        restatement=_restatement(receipt.restatement) if receipt.restatement else None,
        transforms=[
            run_pb2.TransformReceipt(
                transform=t.transform_id,
                target_table=t.target_table,
                row_count=t.row_count,
                scope=scope_message(t.scope),
            )
            for t in receipt.transforms
        ],
        duration=duration,
        coerced_cell_count=receipt.coerced_cell_count,
    )


def money_message(line: MoneyLine) -> run_pb2.Money:
    return run_pb2.Money(
        column=line.column,
        read=plain(line.read),
        landed=plain(line.landed),
        quarantined=plain(line.quarantined),
        outdated=plain(line.outdated),
        unparsable_count=line.unparsable_count,
    )


def _restatement(restatement: r.Restatement) -> run_pb2.Restatement:
    return run_pb2.Restatement(
        old_row_count=restatement.old_row_count,
        new_row_count=restatement.new_row_count,
        money=[
            run_pb2.MoneyChange(
                column=c.column,
                old=plain(c.old),
                new=plain(c.new),
                change=plain(difference(c.new, c.old)),
            )
            for c in restatement.money
        ],
    )


def event_message(told: Told) -> run_pb2.RunEvent:
    """Return one record, with what it made of the run."""
    record, detail = told.record, told.record.detail
    chunk = detail.landed.chunk_id if isinstance(detail, r.ChunkCompleted) else ""
    return run_pb2.RunEvent(
        position=record.position,
        event_time=stamp(record.time),
        event_type=detail.type,
        state=f"RUN_STATE_{told.state}",
        attempt=told.attempt,
        summary=sentence(detail),
        chunk_id=chunk,
        epoch=record.epoch,
        event_id=record.event_id,
    )


def result_message(result: r.Result, attempt: int) -> run_pb2.RunResult:
    return run_pb2.RunResult(
        rule_id=result.rule_id,
        expectation_type=result.expectation_type,
        column=result.column,
        success=result.success,
        severity=result.severity,
        element_count=result.element_count,
        missing_count=result.missing_count,
        unexpected_count=result.unexpected_count,
        observed_value=result.observed_value,
        kwargs=result.kwargs,
        unexpected_samples=result.samples,
        attempt=attempt,
    )

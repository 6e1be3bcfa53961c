"""Backfills as messages."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from convergence.orchestrator.v1 import backfill_pb2

from services.orchestrator.api.run_messages import money_message, stamp
from services.orchestrator.backfills.backfill import Backfill, BackfillState
from services.orchestrator.backfills.progress import (
    Progress,
    Sums,
    Trouble,
    progress_of,
    troubles_of,
)
from services.orchestrator.runs.run import Run

MOST_TROUBLES: Final = 100


def backfill_message(
    backfill: Backfill, runs: Mapping[date, Run], *, now: datetime
) -> backfill_pb2.Backfill:
    """Return a backfill and how far it is; `runs` are those of the windows that have one."""
    created = backfill.created
    paused = backfill.paused if backfill.state is BackfillState.PAUSED else None
    order = "NEWEST_FIRST" if created.newest_first else "OLDEST_FIRST"
    return backfill_pb2.Backfill(
        name=str(backfill.name),
        state=f"BACKFILL_STATE_{backfill.state}",
        start_date=created.start.isoformat(),
        end_date=created.end.isoformat(),
        max_parallel=created.max_parallel,
        order=f"BACKFILL_ORDER_{order}",
        max_failures=created.max_failures,
        reload=created.reload,
        reason=created.reason,
        created_by=created.created_by,
        spec_hash=created.spec_hash,
        create_time=stamp(backfill.create_time),
        update_time=stamp(backfill.update_time),
        end_time=stamp(backfill.end_time),
        paused_by=paused.by if paused else "",
        pause_reason=paused.reason if paused else "",
        cancel_reason=backfill.cancelled.reason if backfill.cancelled else "",
        progress=_progress(progress_of(backfill, tuple(runs.values()), now=now)),
    )


def whole_message(
    backfill: Backfill, runs: Mapping[date, Run], sums: Sums, *, now: datetime
) -> backfill_pb2.Backfill:
    """Return the same with what its runs have published, and which of them are in trouble."""
    message = backfill_message(backfill, runs, now=now)
    message.receipt.CopyFrom(_receipt(sums))
    troubles = troubles_of(runs.items())[:MOST_TROUBLES]
    message.troubles.extend(_trouble(trouble) for trouble in troubles)
    return message


def _progress(progress: Progress) -> backfill_pb2.BackfillProgress:
    return backfill_pb2.BackfillProgress(
        window_count=progress.windows,
        waiting_count=progress.waiting,
        running_count=progress.running,
        succeeded_count=progress.succeeded,
        superseded_count=progress.superseded,
        held_count=progress.held,
        failed_count=progress.failed,
        cancelled_count=progress.cancelled,
        estimated_end_time=stamp(progress.estimated_end),
    )


def _receipt(sums: Sums) -> backfill_pb2.BackfillReceipt:
    return backfill_pb2.BackfillReceipt(
        read_row_count=sums.read_row_count,
        landed_row_count=sums.landed_row_count,
        quarantined_row_count=sums.quarantined_row_count,
        read_bytes=sums.read_bytes,
        money=[money_message(line) for line in sums.money],
    )


def _trouble(trouble: Trouble) -> backfill_pb2.BackfillTrouble:
    return backfill_pb2.BackfillTrouble(
        date=trouble.day.isoformat(),
        run=str(trouble.run.name),
        run_state=f"RUN_STATE_{trouble.run.state}",
        cause=trouble.cause,
    )

"""Shows a backfill: its counts, what was published, what somebody has to look at."""

from collections.abc import Iterator

from convergence.orchestrator.v1.backfill_pb2 import (
    Backfill,
    BackfillOrder,
    BackfillProgress,
    BackfillState,
)
from convergence.orchestrator.v1.run_pb2 import RunState
from rich.console import RenderableType

from libs.client.cli.bar import Drawn
from libs.client.cli.failures import FAILED_RUN
from libs.client.cli.output import amount, facts, moment, short_state, table


def state_of(backfill: Backfill) -> str:
    return short_state(BackfillState.Name(backfill.state))


def range_text(backfill: Backfill) -> str:
    """Return the range as it is asked for: the end is the first day after it."""
    return f"{backfill.start_date} until {backfill.end_date}"


def counts(progress: BackfillProgress) -> str:
    """Return `290 of 304 published, 4 running, 1 held, 9 waiting`; counts of none are left out."""
    done = progress.succeeded_count + progress.superseded_count
    parts = {
        "running": progress.running_count,
        "held": progress.held_count,
        "failed": progress.failed_count,
        "cancelled": progress.cancelled_count,
        "waiting": progress.waiting_count,
    }
    said = [f"{done} of {progress.window_count} published"]
    return ", ".join([*said, *(f"{count} {name}" for name, count in parts.items() if count)])


def exit_status(backfill: Backfill) -> int:
    """Return 0 where every window is published, by it or by a newer look; 1 otherwise."""
    done = backfill.progress.succeeded_count + backfill.progress.superseded_count
    return 0 if done == backfill.progress.window_count else FAILED_RUN


def shown(backfill: Backfill) -> Iterator[RenderableType]:
    """Yield what is worth knowing about a backfill."""
    by = backfill.paused_by
    oldest = backfill.order == BackfillOrder.BACKFILL_ORDER_OLDEST_FIRST
    yield facts(
        {
            "backfill": backfill.name,
            "state": state_of(backfill),
            "range": f"{range_text(backfill)}, {'oldest' if oldest else 'newest'} first",
            "windows": counts(backfill.progress),
            "at once": str(backfill.max_parallel),
            "paused": f"by {by}: {backfill.pause_reason or 'no reason given'}" if by else "",
            "created": f"{moment(backfill.create_time)} by {backfill.created_by or 'unknown'}",
            "reason": backfill.reason,
            "cancelled": backfill.cancel_reason,
            "ends about": moment(backfill.progress.estimated_end_time),
            "ended": moment(backfill.end_time),
            "rows": _rows(backfill),
            "money": "\n".join(f"{m.column}: {amount(m.landed)}" for m in backfill.receipt.money),
            "next": next_step(backfill),
        }
    )
    if backfill.troubles:
        yield ""
        rows = [
            (one.date, short_state(RunState.Name(one.run_state)), one.run, one.cause)
            for one in backfill.troubles
        ]
        yield table(rows, "window", "state", "run", "why", prose=["why"])


def next_step(backfill: Backfill) -> str:
    """Return the command that a backfill waits for; empty if it waits for none."""
    if backfill.state == BackfillState.BACKFILL_STATE_PAUSED:
        return f"convergence backfills resume {backfill.name}"
    if backfill.progress.failed_count:
        return "convergence runs explain, then convergence runs retry, with each run that failed"
    if backfill.progress.held_count:
        return "convergence runs approve or convergence runs discard, with each run that is held"
    return ""


def _rows(backfill: Backfill) -> str:
    receipt = backfill.receipt
    if not receipt.read_row_count:
        return ""
    said = f"{receipt.landed_row_count:,} published of {receipt.read_row_count:,} read"
    held = receipt.quarantined_row_count
    return f"{said}, {held:,} in quarantine" if held else said


def drawn(backfill: Backfill) -> Drawn:
    """Return what a bar shows of a backfill."""
    now = backfill.progress
    return Drawn(
        state=state_of(backfill),
        total=now.window_count,
        completed=now.window_count - now.waiting_count - now.running_count,
        detail=counts(now),
    )

"""How far a backfill is: windows by state, rows and money, and when it will end."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from libs.common.money import total
from services.orchestrator.backfills.backfill import Backfill, BackfillState
from services.orchestrator.backfills.decisions import FAILED
from services.orchestrator.runs.receipts import MoneyLine, receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import LIVE, RunState

TROUBLED: Final = FAILED | {RunState.HELD, RunState.CANCELLED}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Windows by the state of their runs; all but `windows` add up to it."""

    windows: int
    waiting: int
    running: int
    succeeded: int
    superseded: int
    held: int
    failed: int
    cancelled: int
    estimated_end: datetime | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What runs have published, added up."""

    read_row_count: int
    landed_row_count: int
    quarantined_row_count: int
    read_bytes: int
    money: tuple[MoneyLine, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A window that somebody has to look at."""

    day: date
    run: Run
    cause: str


def progress_of(backfill: Backfill, runs: Sequence[Run], *, now: datetime) -> Progress:
    """Return how far a backfill is whose windows have `runs`."""
    states = Counter(run.state for run in runs)
    count = len(backfill.created.days)
    return Progress(
        windows=count,
        waiting=count - len(runs),
        running=sum(states[state] for state in LIVE),
        succeeded=states[RunState.SUCCEEDED],
        superseded=states[RunState.SUPERSEDED],
        held=states[RunState.HELD],
        failed=sum(states[state] for state in FAILED),
        cancelled=states[RunState.CANCELLED],
        estimated_end=_estimated_end(backfill, runs, now),
    )


def _estimated_end(backfill: Backfill, runs: Sequence[Run], now: datetime) -> datetime | None:
    """Return when the last window ends if each takes as long as those that succeeded did."""
    spans = [
        run.end_time - run.create_time
        for run in runs
        if run.state is RunState.SUCCEEDED and run.end_time and run.attempt == 1
    ]
    if backfill.state is not BackfillState.RUNNING or not spans:
        return None
    each = sum(spans, timedelta()) / len(spans)
    live = [run for run in runs if run.state in LIVE]
    passed = sum((min(now - run.attempt_time, each) for run in live), timedelta())
    left = each * (len(backfill.created.days) - len(runs) + len(live)) - passed
    return now + left / min(backfill.created.max_parallel, max(len(live), 1))


def sums_of(runs: Iterable[Run]) -> Sums:
    """Add up the receipts of the runs that have one, money by column in order of first appearance."""
    receipts = [receipt for run in runs if (receipt := receipt_of(run))]
    money: dict[str, list[MoneyLine]] = {}
    for line in (line for receipt in receipts for line in receipt.money):
        money.setdefault(line.column, []).append(line)
    return Sums(
        read_row_count=sum(x.read_row_count for x in receipts),
        landed_row_count=sum(x.landed_row_count for x in receipts),
        quarantined_row_count=sum(x.quarantined_row_count for x in receipts),
        read_bytes=sum(x.read_bytes for x in receipts),
        money=tuple(_added(column, lines) for column, lines in money.items()),
    )


def _added(column: str, lines: Sequence[MoneyLine]) -> MoneyLine:
    def added(name: str) -> Decimal:
        return total(getattr(line, name) for line in lines)

    return MoneyLine(
        column=column,
        read=added("read"),
        landed=added("landed"),
        quarantined=added("quarantined"),
        outdated=added("outdated"),
        unparsable_count=sum(line.unparsable_count for line in lines),
    )


def troubles_of(runs: Iterable[tuple[date, Run]]) -> list[Trouble]:
    """Return the windows whose runs failed, are held or were cancelled, by date."""
    found = sorted((day, run) for day, run in runs if run.state in TROUBLED)
    return [Trouble(day=day, run=run, cause=_cause(run)) for day, run in found]


def _cause(run: Run) -> str:
    if run.state in FAILED:
        return run.failure.message if run.failure else ""
    if run.held:
        return "; ".join(run.held.reasons)
    return run.cancel.reason if run.cancel else ""

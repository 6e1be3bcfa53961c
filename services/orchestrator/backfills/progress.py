"""How far a backfill is: windows by state, rows and money, and when it will end."""

import asyncio
import dataclasses
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from libs.common.money import total
from libs.common.names import RunName
from services.orchestrator.backfills.backfill import Backfill, BackfillState
from services.orchestrator.backfills.decisions import FAILED
from services.orchestrator.runs.receipts import MoneyLine, receipt_of
from services.orchestrator.runs.run import Run
from services.orchestrator.runs.states import LIVE, RunState

PUBLISHED: Final = frozenset({RunState.SUCCEEDED, RunState.TRANSFORM_FAILED})
"""Runs that have a receipt."""

MOST_KNOWN: Final = 10_000
"""Runs whose receipts are kept at once, those that were asked for last: nine of the largest backfills'."""

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


NONE: Final = Sums(
    read_row_count=0, landed_row_count=0, quarantined_row_count=0, read_bytes=0, money=()
)


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


class Tally:
    """Adds up receipts; that of a run is made once, for with many chunks it takes a while."""

    def __init__(self, most_known: int = MOST_KNOWN) -> None:
        self._most = most_known
        self.known: OrderedDict[RunName, tuple[int, Sums]] = OrderedDict()
        """Of runs that have a receipt, with the position that it was made at; the last asked last."""

    async def sums(self, runs: Sequence[Run]) -> Sums:
        """Add up the receipts of the runs that have one, money by column in order of first appearance.

        Others are let in between the runs whose receipt is made.
        """
        found: list[Sums] = []
        for run in runs:
            if run.state in PUBLISHED:
                position, sums = self.known.pop(run.name, (0, NONE))
                if position != run.position:
                    sums = _of(run)
                    await asyncio.sleep(0)
                self.known[run.name] = run.position, sums
                if len(self.known) > self._most:
                    self.known.popitem(last=False)
                found.append(sums)
        return _added(found)


def _of(run: Run) -> Sums:
    receipt = receipt_of(run)
    if receipt is None:
        return NONE
    return Sums(
        read_row_count=receipt.read_row_count,
        landed_row_count=receipt.landed_row_count,
        quarantined_row_count=receipt.quarantined_row_count,
        read_bytes=receipt.read_bytes,
        money=receipt.money,
    )


def _added(parts: Sequence[Sums]) -> Sums:
    money: dict[str, list[MoneyLine]] = {}
    for line in (line for part in parts for line in part.money):
        money.setdefault(line.column, []).append(line)
    return Sums(
        read_row_count=sum(part.read_row_count for part in parts),
        landed_row_count=sum(part.landed_row_count for part in parts),
        quarantined_row_count=sum(part.quarantined_row_count for part in parts),
        read_bytes=sum(part.read_bytes for part in parts),
        money=tuple(_line(column, lines) for column, lines in money.items()),
    )


def _line(column: str, lines: Sequence[MoneyLine]) -> MoneyLine:
    return MoneyLine(
        column=column,
        read=total(line.read for line in lines),
        landed=total(line.landed for line in lines),
        quarantined=total(line.quarantined for line in lines),
        outdated=total(line.outdated for line in lines),
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

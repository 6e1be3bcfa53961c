"""What callers may ask of backfills: create, pause, resume, cancel. Each may be repeated."""

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from libs.common.errors import FailedPrecondition, InvalidRequest, NotFound
from libs.common.names import BackfillName, PipelineName
from services.orchestrator.backfills.backfill import Backfill, BackfillState
from services.orchestrator.backfills.ranges import MOST_WINDOWS, Range, windows_of
from services.orchestrator.conductor.answers import PATIENCE_SECONDS, durable, same_request
from services.orchestrator.journal.history import History
from services.orchestrator.runs import records as r
from services.orchestrator.specs import PipelineSpec

DEFAULT_PARALLEL: Final = 4
MOST_PARALLEL: Final = 16
DEFAULT_FAILURES: Final = 10
LONGEST_REASON: Final = 1_000

GOING: Final = frozenset({BackfillState.RUNNING, BackfillState.PAUSED})


class BackfillNotFound(NotFound):
    """No such backfill, or one of another tenant."""

    reason = "BACKFILL_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"no backfill {name}", name=name)


class BackfillAlreadyActive(FailedPrecondition):
    """The pipeline has a backfill that is not ended."""

    reason = "BACKFILL_ALREADY_ACTIVE"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What CreateBackfill was asked, defaults filled in."""

    pipeline: PipelineName
    request_id: UUID
    range: Range
    max_parallel: int
    newest_first: bool
    max_failures: int
    reload: bool
    reason: str
    created_by: str
    traceparent: str
    share: r.Share | None = None

    def facts(self) -> dict[str, str]:
        """Return what must be equal in a repeat, named as in the request."""
        return {
            "parent": str(self.pipeline),
            "start_date": self.range.start.isoformat(),
            "end_date": self.range.end.isoformat(),
            "max_parallel": str(self.max_parallel),
            "order": "NEWEST_FIRST" if self.newest_first else "OLDEST_FIRST",
            "max_failures": str(self.max_failures),
            "reload": str(self.reload).lower(),
            "reason": self.reason,
        }


def parallel(asked: int) -> int:
    """Return how many runs are live at once; 0 means the default. Raises ValueError."""
    return _within(asked, DEFAULT_PARALLEL, MOST_PARALLEL)


def failures(asked: int) -> int:
    """Return how many failures pause a backfill; 0 means the default. Raises ValueError."""
    return _within(asked, DEFAULT_FAILURES, MOST_WINDOWS)


def _within(asked: int, default: int, most: int) -> int:
    if not 0 <= asked <= most:
        raise ValueError(f"found {asked}; allowed is 1 to {most}, or 0 (meaning {default})")
    return asked or default


def reason(text: str) -> str:
    """Return a reason. Raises ValueError where it is too long."""
    if len(text) > LONGEST_REASON:
        raise ValueError(f"found {len(text)} characters; allowed are {LONGEST_REASON}")
    return text


class BackfillCommands:
    """Carries out what callers ask; an answer is given when the decision is durable."""

    def __init__(
        self,
        history: History,
        *,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._history = history
        self._clock = clock
        self._new_id = new_id
        self._patience = patience_seconds

    def find(self, name: BackfillName) -> Backfill:
        """Return a backfill. Raises BackfillNotFound."""
        backfill = self._history.ledger.backfills.by_name.get(name)
        if backfill is None:
            raise BackfillNotFound(str(name))
        return backfill

    async def settled(self, backfill: Backfill) -> Backfill:
        """Return a backfill when all that it says is durable. Raises JournalUnavailable."""
        await durable(self._history, backfill.position, seconds=self._patience)
        return backfill

    async def repeated(self, ask: Ask) -> Backfill | None:
        """Return the backfill that a request id stands for, None if it is new. Raises RequestIdReused."""
        key = (ask.pipeline.tenant, str(ask.request_id))
        name = self._history.ledger.backfills.requests.get(key)
        if name is None:
            return None
        backfill = self.find(name)
        same_request(
            ask.request_id, backfill.created.request_facts, ask.facts(), backfill=str(name)
        )
        return await self.settled(backfill)

    async def create(self, ask: Ask, spec: PipelineSpec) -> Backfill:
        """Journal a new backfill; its runs follow by themselves.

        Raises:
            BackfillNotPossible, WindowInFuture, InvalidRequest: the range does not fit the pipeline.
            BackfillAlreadyActive: see there.
        """
        days = windows_of(spec, ask.range, name=str(ask.pipeline), now=self._clock())
        if spec.write.mode != "append" and ask.reload:
            why = f"found true; pipeline {spec.pipeline} has mode {spec.write.mode}, which always reads everything again"
            raise InvalidRequest({"reload": why})
        self._refuse_second(ask.pipeline)
        name = self._free_name(ask.pipeline)
        detail = r.BackfillCreated(
            backfill=str(name),
            spec=spec.canonical(),
            spec_hash=spec.spec_hash,
            request_id=str(ask.request_id),
            request_facts=ask.facts(),
            start=ask.range.start,
            end=ask.range.end,
            newest_first=ask.newest_first,
            days=days[::-1] if ask.newest_first else days,
            max_parallel=ask.max_parallel,
            max_failures=ask.max_failures,
            reload=ask.reload,
            created_by=ask.created_by,
            reason=ask.reason,
            traceparent=ask.traceparent,
            share=ask.share,
        )
        return await self._decide(name, detail)

    def _refuse_second(self, pipeline: PipelineName) -> None:
        if other := self._history.ledger.backfills.open_of(pipeline):
            raise BackfillAlreadyActive(
                f"{other.name} is {other.state} and of the same pipeline; wait until it ends, or cancel it",
                name=str(pipeline),
                backfill=str(other.name),
            )

    def _free_name(self, pipeline: PipelineName) -> BackfillName:
        while (name := pipeline.backfill(self._new_id())) in self._history.ledger.backfills.by_name:
            continue
        return name

    async def _decide(self, name: BackfillName, detail: r.BackfillDetail) -> Backfill:
        self._history.decide(None, detail)
        return await self.settled(self.find(name))

    async def pause(self, name: BackfillName, *, by: str, reason: str) -> Backfill:
        """Start no further windows; one that is paused stays as it is.

        Raises:
            BackfillNotFound, BackfillStateMismatch: see there.
        """
        backfill = self.find(name).require(GOING)
        if backfill.state is BackfillState.PAUSED:
            return await self.settled(backfill)
        paused = r.BackfillPaused(backfill=str(name), by=by, reason=reason)
        return await self._decide(name, paused)

    async def resume(self, name: BackfillName, *, by: str) -> Backfill:
        """Start windows again; one that is running stays as it is.

        Raises:
            BackfillNotFound, BackfillStateMismatch: see there.
        """
        backfill = self.find(name).require(GOING)
        if backfill.state is BackfillState.RUNNING:
            return await self.settled(backfill)
        return await self._decide(name, r.BackfillResumed(backfill=str(name), by=by))

    async def cancel(self, name: BackfillName, *, by: str, reason: str) -> Backfill:
        """Start no further windows and cancel the live runs; a cancelled one stays as it is.

        Raises:
            BackfillNotFound, BackfillStateMismatch: see there.
        """
        backfill = self.find(name)
        if backfill.state in {BackfillState.CANCELLING, BackfillState.CANCELLED}:
            return await self.settled(backfill)
        backfill.require(GOING)
        cancelled = r.BackfillCancelled(backfill=str(name), by=by, reason=reason)
        return await self._decide(name, cancelled)

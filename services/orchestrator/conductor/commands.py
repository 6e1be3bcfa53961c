"""What callers may ask of runs: create, cancel, retry, approve, discard. Each may be repeated."""

import asyncio
import dataclasses
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from libs.common.errors import (
    FailedPrecondition,
    InvalidRequest,
    NotFound,
    QuotaExceeded,
)
from libs.common.names import PipelineName, RunName
from services.orchestrator.conductor.answers import (
    NOT_DURABLE,
    PATIENCE_SECONDS,
    digest_of,
    durable,
    same_request,
)
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.reading import Reader
from services.orchestrator.journal.journal import JournalUnavailable
from services.orchestrator.runs import records as r
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.run import IllegalMove, Run
from services.orchestrator.runs.states import CANCELLABLE, RunState
from services.orchestrator.runs.windows import Window, scope_of, window_of
from services.orchestrator.schedules.schedule import request_id
from services.orchestrator.specs import PipelineSpec

MOST_PENDING: Final = 1000
"""Runs of a tenant that may wait to begin: each is kept in memory and started anew with us."""

REPLAN: Final = frozenset({"SOURCE_CHANGED", "COLUMN_MISSING", "SOURCE_EMPTY", "SOURCE_NOT_FOUND"})
"""Reasons after which RetryRun plans anew."""


class RunNotFound(NotFound):
    """No such run, or one of another tenant."""

    reason = "RUN_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"no run {name}", name=name)


class RunAlreadyActive(FailedPrecondition):
    """A live run of the pipeline is about the same window."""

    reason = "RUN_ALREADY_ACTIVE"


class TooManyRuns(QuotaExceeded):
    """As many runs of the tenant are live, or wait to begin, as may."""

    reason = "TOO_MANY_RUNS"

    def __init__(self, tenant: str, limit: int, text: str) -> None:
        super().__init__(
            f"tenant {tenant} has {limit} {text}",
            retry_after=5.0,
            tenant=tenant,
            limit=str(limit),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What CreateRun was asked."""

    pipeline: PipelineName
    request_id: UUID
    moment: datetime | None
    reload: bool
    created_by: str
    traceparent: str
    share: r.Share | None = None
    """What the tenant may have of what all share; None where the caller does not know."""
    lane: Lane = Lane.INTERACTIVE

    def facts(self) -> dict[str, str]:
        """Return what must be equal in a repeat."""
        return {
            "window_time": self.moment.isoformat() if self.moment else "",
            "reload": str(self.reload).lower(),
        }


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Fire:
    """A fire of a schedule that was decided to start, and the id of its run."""

    pipeline: PipelineName
    run: str
    fire_time: datetime
    """Nominal: it says which window the run is about."""
    after: tuple[str, ...] = ()
    """Pipelines of the tenant that the run waits for, and how long it does."""
    patience: timedelta = timedelta()
    share: r.Share | None = None


class Commands:
    """Carries out what callers ask; an answer is given when the decision is durable."""

    def __init__(
        self,
        conductor: Conductor,
        *,
        new_run_id: Callable[[], str],
        patience_seconds: float = PATIENCE_SECONDS,
        most_pending: int = MOST_PENDING,
    ) -> None:
        self._conductor = conductor
        self._mesh = conductor.mesh
        self.reader = Reader(conductor.mesh)
        self._new_run_id = new_run_id
        self._patience = patience_seconds
        self._most_pending = most_pending

    def find(self, name: RunName) -> Run:
        """Return a run. Raises RunNotFound."""
        run = self._mesh.history.ledger.runs.get(name)
        if run is None:
            raise RunNotFound(str(name))
        return run

    async def look(self, name: RunName) -> Run:
        """Return a run, however old. Raises RunNotFound, Unavailable."""
        run = await self.reader.run(name)
        if run is None:
            raise RunNotFound(str(name))
        return run

    async def durable(self, position: int) -> None:
        """Return when all records up to `position` are durable. Raises JournalUnavailable."""
        await durable(self._mesh.history, position, seconds=self._patience)

    async def settled(self, run: Run) -> Run:
        """Return a run when everything that it says is durable. Raises JournalUnavailable."""
        if self._mesh.history.durable >= run.position:
            return run
        return await self._answer(self._settled(run))

    async def _settled(self, run: Run) -> Run:
        await self._mesh.history.settled(run.position)
        return run

    async def _answer(self, work: Coroutine[None, None, Run]) -> Run:
        """Carry out `work` to its end, and answer when it is done or has taken too long.

        Raises:
            JournalUnavailable: nothing is known yet; the same call may be repeated.
        """
        try:
            async with asyncio.timeout(self._patience):
                return await self._conductor.whole(work)
        except TimeoutError:
            raise JournalUnavailable(NOT_DURABLE) from None

    async def repeated(self, start: Start) -> Run | None:
        """Return the run that a request id stands for, None if it is new. Raises RequestIdReused."""
        ledger = self._mesh.history.ledger
        name = ledger.requests.get((start.pipeline.tenant, str(start.request_id)))
        if name is None:
            return None
        run = ledger.runs[name]
        before = {**run.created.request_facts, "parent": str(name.parent)}
        now = {**start.facts(), "parent": str(start.pipeline)}
        same_request(start.request_id, before, now, run=str(name))
        return await self.settled(run)

    async def create(self, start: Start, spec: PipelineSpec) -> Run:
        """Journal a new run and drive it: it begins when its tenant may have one more.

        Raises:
            WindowInFuture, InvalidRequest: the moment does not fit the pipeline.
            RunAlreadyActive, TooManyRuns: see there.
        """
        window = window_of(spec, start.moment, now=self._mesh.clock())
        self._refuse_second(start, spec, window)
        self._refuse_to_wait(start.pipeline.tenant)
        facts = start.facts()
        detail = r.RunCreated(
            spec=spec.canonical(),
            spec_hash=spec.spec_hash,
            request_id=str(start.request_id),
            request_digest=digest_of(facts),
            request_facts=facts,
            window_start=window.start if window else None,
            window_end=window.end if window else None,
            scope=scope_of(spec, window),
            reload=start.reload,
            created_by=start.created_by,
            traceparent=start.traceparent,
            share=start.share,
            lane=start.lane,
        )
        return await self.go(self.decide(start.pipeline, detail))

    def decide(self, pipeline: PipelineName, detail: r.RunCreated) -> Run:
        """Decide on a new run here and now; `go` drives it. Raises RecordTooLarge: there is no run."""
        run = self._mesh.history.decide(self._free_name(pipeline), detail)
        assert run is not None
        return run

    async def go(self, run: Run) -> Run:
        """Drive a run from its newest record on, and return it when that is durable.

        Raises:
            JournalUnavailable: it takes too long; the run is driven as soon as it is.
        """
        return await self._answer(self._drive(run))

    def fire(self, fire: Fire, spec: PipelineSpec) -> Run:
        """Decide the run of a fire, which is driven once that is durable; a repeat changes nothing.

        It is decided before this returns, so nothing comes between the fire's decision and its run.

        Raises:
            ServiceError: no run can be made of the spec; nothing was changed.
        """
        name = fire.pipeline.run(fire.run)
        if run := self._mesh.history.ledger.runs.get(name):
            return run
        self._refuse_to_wait(name.tenant)
        window = window_of(spec, None, now=fire.fire_time)
        after = tuple(str(PipelineName(name.tenant, one)) for one in fire.after) if window else ()
        detail = r.RunCreated(
            spec=spec.canonical(),
            spec_hash=spec.spec_hash,
            request_id=str(request_id(str(fire.pipeline), fire.fire_time)),
            request_digest="",
            window_start=window.start if window else None,
            window_end=window.end if window else None,
            scope=scope_of(spec, window),
            created_by="schedule",
            share=fire.share,
            lane=Lane.SCHEDULED,
            fire_time=fire.fire_time,
            after=after,
            after_expire_time=self._mesh.clock() + fire.patience if after else None,
        )
        run = self._mesh.history.decide(name, detail)
        assert run is not None
        self._conductor.soon(self._drive(run))
        return run

    def _free_name(self, pipeline: PipelineName) -> RunName:
        while (name := pipeline.run(self._new_run_id())) in self._mesh.history.ledger.runs:
            continue
        return name

    async def _drive(self, run: Run) -> Run:
        await self._settled(run)
        await self._conductor.restart(run)
        return run

    def _refuse_second(self, start: Start, spec: PipelineSpec, window: Window | None) -> None:
        if spec.schedule and spec.schedule.overlap == "allow_all":
            return
        for other in self._mesh.history.ledger.live_beside(start.pipeline):
            about = (other.created.window_start, other.created.window_end)
            if about == (window and window.start, window and window.end):
                raise RunAlreadyActive(
                    f"{other.name} is live ({other.state}) and about the same window; watch it, "
                    "or cancel it first",
                    name=str(start.pipeline),
                    run=str(other.name),
                )

    async def cancel(self, name: RunName, *, by: str, reason: str) -> Run:
        """Stop a run before it publishes; a cancelled one stays as it is."""
        run = await self.look(name)
        if run.state in {RunState.CANCELLING, RunState.CANCELLED}:
            return await self.settled(run)
        run.require(CANCELLABLE)
        detail = r.RunCancelled if run.state is RunState.FAILED else r.RunCancelling
        after = self._mesh.history.decide(name, detail(by=by, reason=reason))
        assert after is not None
        return await self._answer(self._drive(after))

    async def discard(self, name: RunName, *, by: str, reason: str) -> Run:
        """Throw a HELD run away; a repeat succeeds."""
        run = await self.look(name)
        if run.held and run.state in {RunState.CANCELLING, RunState.CANCELLED}:
            return await self.settled(run)
        run.require(frozenset({RunState.HELD}))
        return await self.cancel(name, by=by, reason=reason)

    async def approve(self, name: RunName, *, by: str, reason: str) -> Run:
        """Publish a HELD run; a repeat after it succeeds."""
        run = await self.look(name)
        if run.publishing and run.publishing.by:
            return await self.settled(run)
        run.require(frozenset({RunState.HELD}))
        try:
            return await self._answer(self._conductor.approve(run, by=by, reason=reason))
        except IllegalMove:
            now = self.find(name)
            if now.publishing and now.publishing.by:
                return await self.settled(now)
            raise

    async def retry(
        self,
        name: RunName,
        *,
        failed_attempt: int,
        by: str,
        spec: str,
        share: r.Share | None = None,
    ) -> Run:
        """Go on with a failed run.

        Args:
            name: The run.
            failed_attempt: The attempt that the caller saw fail; 0 means whichever it is.
            by: Who asks.
            spec: For TRANSFORM_FAILED, the spec with its transforms as they now stand; else empty.
            share: What the tenant may have; None where the caller does not know.

        Raises:
            InvalidRequest: there was no such attempt.
            IllegalMove, TooManyRuns: see there.
        """
        run = await self.look(name)
        if not 0 <= failed_attempt <= run.attempt:
            why = f"found {failed_attempt}; allowed is an attempt of the run, 1 to {run.attempt}"
            raise InvalidRequest({"failed_attempt": why})
        if 0 < failed_attempt < run.attempt:
            return await self.settled(run)
        run.require(frozenset({RunState.FAILED, RunState.TRANSFORM_FAILED}))
        self._refuse_one_more(name.tenant, share)
        replan = bool(run.failure and run.failure.reason in REPLAN)
        retried = r.RunRetried(
            attempt=run.attempt + 1,
            replan=replan,
            restaged=replan and run.plan is not None,
            by=by,
            spec=spec,
            share=share,
            lane=Lane.INTERACTIVE,
        )
        after = self._mesh.history.decide(name, retried)
        assert after is not None
        return await self.go(after)

    def _refuse_to_wait(self, tenant: str) -> None:
        if self._mesh.history.ledger.pending_count(tenant) >= self._most_pending:
            text = "runs that wait to begin, as many as may; wait until one begins, or cancel some"
            raise TooManyRuns(tenant, self._most_pending, text)

    def _refuse_one_more(self, tenant: str, share: r.Share | None) -> None:
        """A run that goes on in its middle has no state to wait in: it stays as it was instead."""
        ledger = self._mesh.history.ledger
        most = (share or ledger.share(tenant)).live_run_count
        if len(ledger.begun_runs(tenant, of_backfills=False)) >= most:
            raise TooManyRuns(tenant, most, "live runs, as many as it may; wait until one ends")

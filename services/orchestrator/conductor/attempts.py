"""One chunk: tries at workers until the journal can name a stream, and one beside a slow one."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import structlog

from libs.common.errors import Delayed, ServiceError, Unavailable
from services.orchestrator.conductor.assignments import RunTimedOut, assign, deadline_of
from services.orchestrator.conductor.failures import failure_of
from services.orchestrator.conductor.hedging import Done, Pace, winner
from services.orchestrator.conductor.live import Live, Setback, Trying
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.retries.causes import (
    AUTH,
    WAREHOUSE,
    WORKERS,
    Cause,
    ErrorClass,
    Neighbour,
    account_of,
    cause_of,
    cause_of_chunk,
)
from services.orchestrator.retries.pauses import CHUNK, STEP
from services.orchestrator.runs import records as r
from services.orchestrator.runs.reasons import reason_of
from services.orchestrator.runs.run import Run
from services.orchestrator.workers.dispatcher import NoWorker, Seat
from services.orchestrator.workers.workers import Beat, ChunkFailed, WorkerGone

log = structlog.get_logger()


class ChunkAttemptsExhausted(ServiceError):
    """A chunk failed on every attempt allowed."""

    reason = "CHUNK_ATTEMPTS_EXHAUSTED"


class SourceFailed(ServiceError):
    """A chunk ended with a failure that no further try would change."""

    def __init__(self, failure: r.Failure) -> None:
        super().__init__(failure.message, reason=failure.reason, **failure.metadata)
        advice = reason_of(failure.reason).advice
        self.failure = failure.model_copy(update={"advice": advice})


@dataclasses.dataclass(frozen=True, slots=True)
class _Ended:
    """What a failed try means: what a run that gives up says, and why to try again.

    A chunk without a cause was refused: it is placed elsewhere at once.
    """

    failure: r.Failure
    cause: Cause | None


class Tries:
    """Has one chunk done, by as many workers as it takes.

    A try that is given up is ended, and nothing that comes of it counts: a result is taken from the
    stream of its own try alone, so the journal never names what a dead one has written.
    """

    def __init__(
        self,
        mesh: Mesh,
        run: Run,
        chunk: r.Chunk,
        place: int,
        *,
        live: Live,
        limit: asyncio.Semaphore,
        pace: Pace,
    ) -> None:
        self._mesh = mesh
        self._run = run
        self._chunk = chunk
        self._place = place
        self._live = live
        self._limit = limit
        self._pace = pace
        self._asked = (WORKERS, account_of(run.spec))
        self._failed_at: set[str] = set()
        self._failed = 0
        self._used = 0
        """Attempts of `limits.chunk_attempts`: those that a worker has accepted, but for hedges and
        those that a limit of the source ended."""
        self._away = 0
        """Attempts that BigQuery did not take: no fault of the chunk, as many as a step has."""
        self._heard = False
        """Whether a worker has accepted the present attempt."""
        self._hedged = False

    async def done(self) -> Done:
        """Try until a worker has done the chunk; on one where it has not failed first.

        Raises:
            SourceFailed: no try would change it, or the last one said why.
            ChunkAttemptsExhausted: workers fell silent or died on every attempt.
            RunTimedOut: time is over.
        """
        while True:
            async with (
                self._requests() as requests,
                self._seat(avoid=frozenset(self._failed_at)) as seat,
            ):
                try:
                    landed, worker = await self._race(seat, requests)
                except (WorkerGone, ChunkFailed, Delayed) as error:
                    ended = self._set_back(seat, error)
                else:
                    self._live.setbacks.pop(self._chunk.chunk_id, None)
                    self._mesh.retries.succeeded((*self._asked, WAREHOUSE, AUTH))
                    return landed.model_copy(
                        update={"try_count": self._used + self._away + 1}
                    ), worker
            self._give_up(ended.failure)
            cause = ended.failure.message
            log.warning("chunk.retried", chunk_id=self._chunk.chunk_id, cause=cause)
            if ended.cause:
                said = ended.failure.reason
                gone = said == ChunkAttemptsExhausted.reason
                self._live.setbacks[self._chunk.chunk_id] = Setback(
                    tries=self._failed, reason=NoWorker.reason if gone else said, message=cause
                )
                await self._mesh.retries.wait(CHUNK, self._failed, ended.cause)

    def _requests(self) -> AbstractAsyncContextManager[float]:
        return self._mesh.requests(self._run, self._place)

    def _seat(self, *, avoid: frozenset[str]) -> AbstractAsyncContextManager[Seat]:
        return self._mesh.seat(self._run, self._place, avoid=avoid)

    def _set_back(self, seat: Seat, error: WorkerGone | ChunkFailed | Delayed) -> _Ended:
        if isinstance(error, Delayed):
            # No worker was asked: auth gave no token.
            self._failed += 1
            return _Ended(failure_of(error), cause_of(error, self._run.spec))
        if isinstance(error, WorkerGone):
            self._failed_at.add(seat.worker.address)
            if error.refused:
                return _Ended(_text(error), None)
            self._failed += 1
            self._used += self._heard
            return _Ended(_text(error), Cause(dependency=WORKERS, error_class=ErrorClass.TRANSIENT))
        cause = self._cause(error)
        if not cause.error_class.passes:
            raise SourceFailed(error.failure) from error
        self._failed_at.add(seat.worker.address)
        self._failed += 1
        if cause.dependency == WAREHOUSE:
            self._away += 1
        else:
            self._used += cause.error_class is not ErrorClass.QUOTA
        return _Ended(error.failure, cause)

    def _give_up(self, failure: r.Failure) -> None:
        """Raise if there is no further try."""
        limits = self._run.spec.limits
        if self._mesh.clock() >= deadline_of(self._run):
            raise RunTimedOut(limits.timeout_seconds)
        if self._used < limits.chunk_attempts and not STEP.exhausted(self._away):
            return
        if failure.reason != ChunkAttemptsExhausted.reason:
            raise SourceFailed(failure)
        raise ChunkAttemptsExhausted(
            f"{self._chunk.input_id}: {self._used} attempts of limits.chunk_attempts failed; "
            f"the last one: {failure.message}",
            chunk=self._chunk.chunk_id,
            attempts=str(self._used),
        )

    async def _race(self, seat: Seat, requests: float) -> Done:
        """Have a try at a seat, and a hedge beside it if that is slow; both have ended at the return."""
        slow, begun, won = asyncio.Event(), asyncio.Event(), False
        first = asyncio.create_task(self._first(seat, requests, slow))
        hedge = asyncio.create_task(self._hedge(seat, slow, begun))
        try:
            done = await winner(first, hedge, begun)
            won = done[1] != seat.worker.address
            return done
        finally:
            first.cancel()
            hedge.cancel()
            await asyncio.gather(first, hedge, return_exceptions=True)
            self._live.beats.pop(self._chunk.chunk_id, None)
            self._live.trying.pop(self._chunk.chunk_id, None)
            if slow.is_set():
                self._mesh.retries.hedges["won" if won else "lost"] += 1

    async def _first(self, seat: Seat, requests: float, slow: asyncio.Event) -> Done:
        """Have a try; `slow` is set when a hedge is to begin."""
        began = asyncio.get_running_loop().time()
        self._heard = False
        chunk_id, worker = self._chunk.chunk_id, seat.worker.address
        self._live.trying[chunk_id] = Trying(worker=worker, since=self._mesh.clock())

        def note(beat: Beat) -> None:
            self._heard = True
            self._live.beats[chunk_id] = beat
            seconds = asyncio.get_running_loop().time() - began
            if not beat.throttled and self._may_hedge(seat, seconds):
                self._hedged = True
                slow.set()

        return await self._attempt(seat, requests, note), worker

    def _may_hedge(self, seat: Seat, seconds: float) -> bool:
        """Return whether a second try may begin now, which takes one of the run's hedges."""
        return (
            not self._hedged
            and self._pace.slow(seconds, self._chunk.estimated_bytes)
            and not self._limit.locked()
            and self._mesh.retries.calm(self._asked)
            and self._mesh.dispatcher.spare(self._run.name.tenant, avoid=self._not_at(seat))
            and self._pace.take()
        )

    def _not_at(self, seat: Seat) -> frozenset[str]:
        return frozenset({*self._failed_at, seat.worker.address})

    async def _hedge(self, beside: Seat, slow: asyncio.Event, begun: asyncio.Event) -> Done | None:
        """Have a second try once the first is slow; None if it comes to nothing.

        `begun` is set when it has all that a try waits for.
        """
        await slow.wait()
        avoid = self._not_at(beside)
        log.info("chunk.hedged", chunk_id=self._chunk.chunk_id, slow_at=beside.worker.address)
        try:
            async with self._limit, self._requests() as requests, self._seat(avoid=avoid) as seat:
                if seat.worker.address in avoid:
                    return None
                begun.set()
                self._say_hedged(seat)
                landed = await self._attempt(seat, requests, lambda _: None)
                return landed, seat.worker.address
        except (WorkerGone, ChunkFailed, ServiceError) as error:
            log.info("hedge.failed", chunk_id=self._chunk.chunk_id, cause=str(error))
            return None

    def _say_hedged(self, seat: Seat) -> None:
        trying = self._live.trying[self._chunk.chunk_id]
        hedged = dataclasses.replace(trying, hedged_at=seat.worker.address)
        self._live.trying[self._chunk.chunk_id] = hedged

    def _cause(self, error: ChunkFailed) -> Cause:
        return cause_of_chunk(
            error.failure,
            self._run.spec,
            transient=error.transient,
            asked_seconds=error.retry_after,
        )

    async def _attempt(self, seat: Seat, requests: float, note: Callable[[Beat], None]) -> r.Landed:
        """Have a try at a seat; leave its worker or its account alone where that is what it means."""
        try:
            return await self._ingested(seat, requests, note)
        except WorkerGone as error:
            self._mesh.dispatcher.rest(seat)
            if error.refused:
                self._mesh.dispatcher.stream_unopened()
            raise
        except Delayed:
            self._mesh.dispatcher.stream_unopened()
            raise
        except ChunkFailed as error:
            cause = self._cause(error)
            asked, limited = cause.dependency, cause.error_class is ErrorClass.QUOTA
            if asked.neighbour is Neighbour.SOURCE and limited:
                self._mesh.dispatcher.accounts.rest(asked.account, cause.asked_seconds)
            raise

    async def _ingested(
        self, seat: Seat, requests: float, note: Callable[[Beat], None]
    ) -> r.Landed:
        """Have one numbered try at a seat. Silence is its end."""
        number = next(self._mesh.tries)
        assignment = assign(
            self._mesh, self._run, self._chunk, number, requests_per_minute=requests
        )
        began = asyncio.get_running_loop().time()
        stream = seat.worker.ingest(assignment)
        try:
            while True:
                event = await self._next(stream, seat)
                if isinstance(event, Beat):
                    if event.slot_count is not None:
                        self._mesh.dispatcher.resize(seat, event.slot_count)
                    note(event)
                elif event.chunk_attempt == assignment.chunk_attempt:
                    seconds = asyncio.get_running_loop().time() - began
                    self._pace.finished(seconds, self._chunk.estimated_bytes)
                    return event
                else:
                    log.warning("result.ignored", stream=event.stream, attempt=event.chunk_attempt)
        finally:
            with contextlib.suppress(Unavailable):
                await stream.aclose()  # type: ignore[attr-defined]

    async def _next(self, stream: AsyncIterator[Beat | r.Landed], seat: Seat) -> Beat | r.Landed:
        """Return what a worker says next. Raises WorkerGone when it says nothing for too long."""
        address, seconds = seat.worker.address, self._mesh.beat_seconds
        try:
            async with asyncio.timeout(seconds):
                return await anext(stream)
        except TimeoutError:
            text = f"worker {address} was silent for {seconds} s"
            raise WorkerGone(text, refused=False) from None
        except StopAsyncIteration:
            text = f"worker {address} ended without a result"
            raise WorkerGone(text, refused=False) from None


def _text(gone: WorkerGone) -> r.Failure:
    return r.Failure(
        kind="platform", reason=ChunkAttemptsExhausted.reason, message=str(gone), advice=""
    )

"""INGESTING → AUDITING: chunks go to workers until the journal names a stream for each."""

import asyncio
import contextlib
import dataclasses
from datetime import datetime, timedelta
from typing import Final

import structlog

from libs.common.errors import FailedPrecondition, ServiceError, Unavailable
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run
from services.orchestrator.workers.dispatcher import Seat
from services.orchestrator.workers.workers import Assignment, Beat, ChunkFailed, WorkerGone

log = structlog.get_logger()

TRIES_PER_EPOCH: Final = 1_000_000
"""Tries are numbered epoch * 1,000,000 + n, so that no number is ever used twice."""

MAX_BACKOFF_SECONDS: Final = 10.0


class ChunkAttemptsExhausted(ServiceError):
    """A chunk failed on every attempt allowed."""

    reason = "CHUNK_ATTEMPTS_EXHAUSTED"


class RunTimedOut(FailedPrecondition):
    """`limits.timeout` has passed before publishing."""

    reason = "RUN_TIMED_OUT"

    def __init__(self, seconds: int) -> None:
        super().__init__(
            f"the run was not ready to publish after limits.timeout of {seconds} s; "
            "raise the limit or make the window smaller",
            timeout=f"{seconds}s",
        )


class SourceFailed(ServiceError):
    """A chunk ended with a failure that no further try would change."""

    def __init__(self, failure: r.Failure) -> None:
        super().__init__(failure.message, reason=failure.reason, **failure.metadata)
        self.failure = failure


@dataclasses.dataclass(slots=True)
class Live:
    """Progress of chunks that workers have now, by chunk id. Not journaled: it may be lost."""

    beats: dict[str, Beat] = dataclasses.field(default_factory=dict)


def deadline_of(run: Run) -> datetime:
    """Return when `limits.timeout` of the present attempt is over."""
    return run.attempt_time + timedelta(seconds=run.spec.limits.timeout_seconds)


async def ingest(mesh: Mesh, run: Run, live: Live) -> None:
    """Have every missing chunk done and committed where the audit looks; journal RunIngested."""
    assert run.plan is not None
    await mesh.warehouse.prepare(
        run, staging=not run.plan.direct, expire_time=staging_expiry(mesh, run)
    )
    limit = asyncio.Semaphore(run.spec.limits.max_parallel_chunks)
    committer = _Committer(mesh, run)
    async with asyncio.TaskGroup() as group:
        for place, chunk in enumerate(run.missing):
            group.create_task(_chunk(mesh, run, chunk, place, limit, live, committer))
    await committer.rest()
    await mesh.record(run, r.RunIngested())


def staging_expiry(mesh: Mesh, run: Run) -> datetime:
    """Staging lives `hold_for` and a day from now: ask when a run comes to a state that needs it."""
    return mesh.clock() + timedelta(days=1, seconds=run.spec.quality.hold_for_seconds)


class _Committer:
    """Commits finished streams into staging: what waits is one batch, and a batch gathers a while.

    Nothing is gained by waiting once every chunk is there, so the last batch goes at once.
    """

    def __init__(self, mesh: Mesh, run: Run) -> None:
        self._mesh = mesh
        self._run = run
        self._lock = asyncio.Lock()
        self._done: set[tuple[str, int]] = set()
        self._missing = len(run.missing)
        self._whole = asyncio.Event()
        self._next = 0.0

    async def landed(self, landed: r.Landed) -> None:
        """Return when the stream of a chunk that was just journaled is committed."""
        self._missing -= 1
        if not self._missing:
            self._whole.set()
        async with self._lock:
            if (landed.chunk_id, landed.chunk_attempt) not in self._done:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(self._next):
                        await self._whole.wait()
                await self._commit()

    async def rest(self) -> None:
        """Commit whatever the journal names and nobody has committed here."""
        async with self._lock:
            await self._commit()

    async def _commit(self) -> None:
        run = self._mesh.run(self._run)
        assert run.plan is not None
        if run.plan.direct:
            return
        waiting = [
            landed
            for landed in run.landed.values()
            if (landed.chunk_id, landed.chunk_attempt) not in self._done
        ]
        if waiting:
            await self._mesh.warehouse.commit_staged(run, waiting)
            self._done.update((w.chunk_id, w.chunk_attempt) for w in waiting)
            self._next = asyncio.get_running_loop().time() + self._mesh.gather_seconds


async def _chunk(
    mesh: Mesh,
    run: Run,
    chunk: r.Chunk,
    place: int,
    limit: asyncio.Semaphore,
    live: Live,
    committer: _Committer,
) -> None:
    async with limit:
        landed, worker = await _attempts(mesh, run, chunk, place, live)
    now = mesh.run(run)
    assert now.plan is not None
    more = len(now.landed) + 1 < len(now.plan.chunks)
    await mesh.record(run, r.ChunkCompleted(landed=landed, worker=worker), patient=more)
    await committer.landed(landed)


async def _attempts(
    mesh: Mesh, run: Run, chunk: r.Chunk, place: int, live: Live
) -> tuple[r.Landed, str]:
    """Try a chunk until it is done; on another worker first. Refusals use up no attempt."""
    failed: set[str] = set()
    used = 0
    while True:
        async with mesh.seat(run, place, avoid=frozenset(failed)) as seat:
            number = next(mesh.tries)
            try:
                landed = await _attempt(mesh, run, chunk, seat, number, live)
                return landed.model_copy(update={"try_count": used + 1}), seat.worker.address
            except WorkerGone as gone:
                mesh.dispatcher.rest(seat)
                failed.add(seat.worker.address)
                used += not gone.refused
                error, wait = _text(gone), 0.0 if gone.refused else _backoff(mesh, used)
            except ChunkFailed as chunk_failed:
                if not chunk_failed.transient:
                    raise SourceFailed(chunk_failed.failure) from chunk_failed
                failed.add(seat.worker.address)
                used += chunk_failed.failure.reason != "SOURCE_RATE_LIMITED"
                error = chunk_failed.failure
                wait = max(chunk_failed.retry_after, _backoff(mesh, used))
            finally:
                live.beats.pop(chunk.chunk_id, None)
        _give_up(mesh, run, chunk, used, error)
        log.warning("chunk.retried", chunk_id=chunk.chunk_id, attempt=number, cause=error.message)
        await mesh.sleep(wait)


def _text(gone: WorkerGone) -> r.Failure:
    return r.Failure(
        kind="platform", reason="CHUNK_ATTEMPTS_EXHAUSTED", message=str(gone), advice=""
    )


def _give_up(mesh: Mesh, run: Run, chunk: r.Chunk, used: int, error: r.Failure) -> None:
    if mesh.clock() >= deadline_of(run):
        raise RunTimedOut(run.spec.limits.timeout_seconds)
    if used < run.spec.limits.chunk_attempts:
        return
    if error.reason != "CHUNK_ATTEMPTS_EXHAUSTED":
        raise SourceFailed(error)
    raise ChunkAttemptsExhausted(
        f"{chunk.input_id}: {used} attempts of limits.chunk_attempts failed; "
        f"the last one: {error.message}",
        chunk=chunk.chunk_id,
        attempts=str(used),
    )


def _backoff(mesh: Mesh, used: int) -> float:
    """Exponential with full jitter."""
    return mesh.random.uniform(0, min(MAX_BACKOFF_SECONDS, 0.25 * 2**used))


async def _attempt(
    mesh: Mesh, run: Run, chunk: r.Chunk, seat: Seat, number: int, live: Live
) -> r.Landed:
    assignment = assign(mesh, run, chunk, number)
    stream = seat.worker.ingest(assignment)
    try:
        while True:
            try:
                async with asyncio.timeout(mesh.beat_seconds):
                    event = await anext(stream)
            except TimeoutError:
                text = f"worker {seat.worker.address} was silent for {mesh.beat_seconds} s"
                raise WorkerGone(text, refused=False) from None
            except StopAsyncIteration:
                text = f"worker {seat.worker.address} ended without a result"
                raise WorkerGone(text, refused=False) from None
            if isinstance(event, r.Landed):
                return event
            live.beats[chunk.chunk_id] = event
            if event.slot_count is not None:
                mesh.dispatcher.resize(seat, event.slot_count)
    finally:
        with contextlib.suppress(Unavailable):
            await stream.aclose()  # type: ignore[attr-defined]


def assign(mesh: Mesh, run: Run, chunk: r.Chunk, number: int) -> Assignment:
    """Return one numbered try of a chunk."""
    assert run.plan is not None
    assert run.snapshot is not None
    direct = run.plan.direct
    return Assignment(
        run=run.name,
        run_attempt=run.attempt,
        chunk_attempt=mesh.history.epoch * TRIES_PER_EPOCH + number,
        epoch=mesh.history.epoch,
        spec=run.spec,
        chunk=chunk,
        scope=run.scope,
        suite=run.plan.suite,
        table=mesh.warehouse.target(run.spec) if direct else mesh.warehouse.staging(run),
        quarantine_table=mesh.warehouse.quarantine(run.spec),
        staging=not direct,
        snapshot=run.snapshot,
        ingest_time=run.plan.ingest_time,
        deadline=deadline_of(run),
    )

"""INGESTING → AUDITING: chunks go to workers until the journal names a stream for each."""

import asyncio
import contextlib
from datetime import datetime, timedelta

from services.orchestrator.conductor.attempts import Tries
from services.orchestrator.conductor.hedging import Pace
from services.orchestrator.conductor.live import Live
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.retries.causes import WAREHOUSE
from services.orchestrator.retries.pauses import COMMIT
from services.orchestrator.runs import records as r
from services.orchestrator.runs.run import Run


async def ingest(mesh: Mesh, run: Run, live: Live) -> None:
    """Have every missing chunk done and committed where the audit looks; journal RunIngested."""
    assert run.plan is not None
    await mesh.warehouse.prepare(
        run, staging=not run.plan.direct, expire_time=staging_expiry(mesh, run)
    )
    limit = asyncio.Semaphore(run.spec.limits.max_parallel_chunks)
    pace = Pace(len(run.missing))
    committer = _Committer(mesh, run)
    async with asyncio.TaskGroup() as group:
        for place, chunk in enumerate(run.missing):
            tries = Tries(mesh, run, chunk, place, live=live, limit=limit, pace=pace)
            group.create_task(_chunk(mesh, run, tries, limit, committer))
    await committer.rest()
    await mesh.record(run, r.RunIngested())


def staging_expiry(mesh: Mesh, run: Run) -> datetime:
    """Staging lives `hold_for` and a day from now: ask when a run comes to a state that needs it."""
    return mesh.clock() + timedelta(days=1, seconds=run.spec.quality.hold_for_seconds)


class _Committer:
    """Commits finished streams into staging: what waits is one batch, and a batch gathers a while.

    Only streams that the journal names: one that this process has decided on, and whose record a
    successor has refused, would lie beside the successor's own.
    Nothing is gained by waiting once every chunk is there, so the last batch goes at once.
    """

    def __init__(self, mesh: Mesh, run: Run) -> None:
        self._mesh = mesh
        self._run = run
        self._lock = asyncio.Lock()
        self._named = dict(run.landed)
        self._done: set[tuple[str, int]] = set()
        self._missing = len(run.missing)
        self._whole = asyncio.Event()
        self._next = 0.0

    async def landed(self, landed: r.Landed) -> None:
        """Return when the stream of a chunk that was just journaled is committed."""
        self._named[landed.chunk_id] = landed
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
            for landed in self._named.values()
            if (landed.chunk_id, landed.chunk_attempt) not in self._done
        ]
        if waiting:
            await self._mesh.retries.until_done(
                lambda: self._mesh.warehouse.commit_staged(run, waiting), COMMIT, run.spec
            )
            self._mesh.retries.succeeded([WAREHOUSE])
            self._done.update((w.chunk_id, w.chunk_attempt) for w in waiting)
            self._next = asyncio.get_running_loop().time() + self._mesh.gather_seconds


async def _chunk(
    mesh: Mesh, run: Run, tries: Tries, limit: asyncio.Semaphore, committer: _Committer
) -> None:
    async with limit:
        landed, worker = await tries.done()
    now = mesh.run(run)
    assert now.plan is not None
    more = len(now.landed) + 1 < len(now.plan.chunks)
    if landed.quarantine_stream:
        mesh.dispatcher.stream_opened()
    await mesh.record(run, r.ChunkCompleted(landed=landed, worker=worker), patient=more)
    await committer.landed(landed)

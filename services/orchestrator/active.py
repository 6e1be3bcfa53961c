"""Becoming the active orchestrator, and what it consists of while it is."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Coroutine
from typing import TypeVar

import structlog

from libs.common.errors import FailedPrecondition, ServiceError, Unavailable
from services.orchestrator.api.watches import Watches
from services.orchestrator.backfills.commands import BackfillCommands
from services.orchestrator.backfills.runner import BackfillRunner
from services.orchestrator.conductor.commands import Commands
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.conductor.limits import Limits
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.elections.elections import Election, Term
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import Journal
from services.orchestrator.journal.rows import JournalUnreadable
from services.orchestrator.retries.pauses import LEADERSHIP, REAL, Pauses
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.records import Record
from services.orchestrator.schedules.scheduler import Scheduler

log = structlog.get_logger()

STEP_DOWN_SECONDS = 30.0
"""How long a journal that cannot be read is left to other candidates before it is read again."""

PATIENCE_SECONDS = 3.0
"""How long a call waits for the journal to be looked at anew."""


Loading = Callable[[], contextlib.AbstractContextManager[None]]
T = TypeVar("T")


class NotActive(Unavailable):
    """Another orchestrator is active, or this one is not ready yet."""

    reason = "NOT_ACTIVE"

    def __init__(self, since: str = "not active yet") -> None:
        super().__init__(f"this orchestrator is {since}; call again")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """The parts of an active orchestrator."""

    conductor: Conductor
    commands: Commands
    watches: Watches
    backfills: BackfillCommands
    backfilling: BackfillRunner
    scheduler: Scheduler
    limits: Limits

    @property
    def mesh(self) -> Mesh:
        return self.conductor.mesh

    @property
    def history(self) -> History:
        return self.mesh.history

    @property
    def ledger(self) -> Ledger:
        return self.history.ledger


class Seat:
    """Holds the active orchestrator of this process, or why there is none."""

    def __init__(self) -> None:
        self._active: Active | None = None
        self._refusal: ServiceError = NotActive()
        self._tried = asyncio.Condition()
        self._tries = 0

    def active(self) -> Active:
        """Return the active orchestrator. Raises NotActive, or why there is none."""
        if self._active is None:
            raise self._refusal.with_traceback(None)
        return self._active

    async def soon(self) -> Active:
        """Return the active orchestrator. Raises as `active` does.

        NOT_INITIALIZED is not believed of a look that began before this call: so a call right after
        `admin init` is answered.
        """
        if self._active is not None or self._refusal.reason != "NOT_INITIALIZED":
            return self.active()
        async with self._tried:
            until = self._tries + 2
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._tried.wait_for(
                        lambda: self._active is not None or self._tries >= until
                    )
        return self.active()

    async def refuse(self, error: ServiceError) -> None:
        """Say why there is none."""
        self._refusal = error
        async with self._tried:
            self._tries += 1
            self._tried.notify_all()

    def leave(self) -> None:
        """Let open watches end, so that nobody waits for them: a watcher goes on where it is led next."""
        if self._active is not None:
            self._active.watches.end()

    async def take(self, active: Active) -> None:
        """From here on calls are answered."""
        self._active = active
        async with self._tried:
            self._tried.notify_all()


async def lead(
    seat: Seat,
    election: Election,
    journal: Journal,
    open_history: Callable[[int], History],
    open_active: Callable[[History], Active],
    also: Callable[[Active], list[asyncio.Task[None]]],
    pauses: Pauses = REAL,
    loading: Loading = contextlib.nullcontext,
) -> None:
    """Win the election, read the journal, go on with its runs, and serve until something ends.

    Args:
        seat: Told who leads, or why nobody does.
        election: Says when this candidate may.
        journal: Read and then written.
        open_history: Makes the history of an epoch.
        open_active: Makes what decides over a history that was read.
        also: Starts what runs beside it.
        pauses: Between tries.
        loading: Around the making of all that a start reads: very many objects that stay.

    Raises whatever ends the leadership: the process ends then and is started again.
    """
    history = await _elected(seat, election, journal, open_history, pauses, loading)
    active = open_active(history)
    tasks = [
        asyncio.create_task(history.write(), name="journal"),
        asyncio.create_task(history.keep(pauses.sleep), name="journal.kept"),
        asyncio.create_task(active.conductor.watch(), name="conductor"),
        asyncio.create_task(active.backfilling.follow(), name="backfills"),
        asyncio.create_task(active.scheduler.follow(), name="scheduler"),
        asyncio.create_task(election.lost(), name="lease"),
        asyncio.create_task(active.limits.follow(), name="limits"),
        *also(active),
    ]
    active.conductor.resume()
    active.scheduler.recover()
    log.info("leadership.begun", epoch=history.epoch, records=history.durable)
    await seat.take(active)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await active.conductor.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        history.end(NotActive("active no more, and what was asked may not be durable"))


async def _elected(
    seat: Seat,
    election: Election,
    journal: Journal,
    open_history: Callable[[int], History],
    pauses: Pauses,
    loading: Loading,
) -> History:
    """Return the history once this candidate leads and has read it.

    A journal that this version cannot read is left to others, who may be newer: it steps down, says
    why to whoever calls, and stands again later.
    """
    while True:
        log.info("leadership.sought")
        term = await _won(seat, election, pauses)
        try:
            opened = _open(seat, journal, term, pauses, loading)
            records, stream = await _unless_lost(election, opened)
            epoch = max(term.epoch, max((x.epoch for x in records), default=0) + 1)
            await election.announce(stream, epoch)
            history = open_history(epoch)
            with loading():
                history.load(records)
        except JournalUnreadable as error:
            bug = None if isinstance(error.__cause__, ValueError) else error.__cause__
            log.exception("leadership.refused", reason=error.reason, cause=str(error), exc_info=bug)
            await seat.refuse(error)
            await journal.close()
            await election.close()
            await pauses.sleep(STEP_DOWN_SECONDS)
        else:
            return history


async def _won(seat: Seat, election: Election, pauses: Pauses) -> Term:
    """Win the election; while the lease cannot be looked at, say so and stand again."""
    failed = 0
    while True:
        winning = asyncio.ensure_future(election.win())
        try:
            await asyncio.wait({winning}, timeout=PATIENCE_SECONDS if failed else None)
            if not winning.done():
                await seat.refuse(NotActive())
            return await winning
        except (FailedPrecondition, Unavailable) as error:
            failed += 1
            await seat.refuse(error)
            log.warning("leadership.delayed", reason=error.reason, cause=str(error))
        finally:
            winning.cancel()
        await pauses.rest(LEADERSHIP, failed)


async def _unless_lost(election: Election, work: Coroutine[None, None, T]) -> T:
    """Do `work` while the term that was won lasts. Raises what `lost` raises."""
    working, lost = asyncio.ensure_future(work), asyncio.ensure_future(election.lost())
    try:
        await asyncio.wait({working, lost}, return_when=asyncio.FIRST_COMPLETED)
        if lost.done():
            await lost
        return await working
    finally:
        for task in (working, lost):
            task.cancel()
        await asyncio.gather(working, lost, return_exceptions=True)


async def _open(
    seat: Seat, journal: Journal, term: Term, pauses: Pauses, loading: Loading
) -> tuple[list[Record], str]:
    """Open the journal; before `admin init`, and while BigQuery is away, wait and say so."""
    failed = 0
    while True:
        try:
            with loading():
                return await journal.open(term)
        except JournalUnreadable:
            raise
        except (FailedPrecondition, Unavailable) as error:
            await seat.refuse(error)
            log.warning("leadership.delayed", reason=error.reason, cause=str(error))
            failed = failed + 1 if isinstance(error, Unavailable) else 1
        await pauses.rest(LEADERSHIP, failed)

"""Streams of changes: the present first, then every durable change, and something every 15 s."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Final

from libs.common.errors import InvalidRequest, QuotaExceeded
from libs.common.names import RunName
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.journal.history import Watch
from services.orchestrator.runs.run import Run

QUIET_SECONDS: Final = 15.0
PROGRESS_SECONDS: Final = 0.5
MOST_PER_TENANT: Final = 100


class CursorInvalid(InvalidRequest):
    """A cursor that this server did not give."""

    reason = "PAGE_TOKEN_INVALID"


class TooManyWatches(QuotaExceeded):
    """The tenant has as many open watches as it may."""

    reason = "TOO_MANY_WATCHES"


def position_of(cursor: str) -> int:
    """Return the journal position that a cursor stands for; 0 for an empty one."""
    if (cursor and not cursor.isascii()) or not (cursor or "0").isdigit():
        why = f"found {cursor!r}; allowed is the `cursor` of a message of this stream, or nothing"
        raise CursorInvalid({"cursor": why}, field="cursor")
    return int(cursor or 0)


class Watches:
    """All open watches of this process."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._open: dict[str, int] = {}

    @contextlib.contextmanager
    def _counted(self, tenant: str) -> Generator[None]:
        if self._open.get(tenant, 0) >= MOST_PER_TENANT:
            raise TooManyWatches(
                f"tenant {tenant} has {MOST_PER_TENANT} open watches, as many as it may; close one",
                retry_after=5.0,
                tenant=tenant,
                limit=str(MOST_PER_TENANT),
            )
        self._open[tenant] = self._open.get(tenant, 0) + 1
        try:
            yield
        finally:
            self._open[tenant] -= 1

    async def run(self, name: RunName, cursor: str) -> AsyncGenerator[tuple[Run, str]]:
        """Yield a run now and after every change, until nothing moves by itself any more."""
        seen = position_of(cursor)
        history = self._conductor.mesh.history
        with self._counted(name.tenant):
            async with history.watching() as watch:
                last_rows, quiet = -1, 0.0
                while True:
                    run = history.ledger.runs[name]
                    await history.settled(run.position)
                    rows = self._progress(name)
                    if run.position > seen or rows != last_rows or quiet >= QUIET_SECONDS:
                        yield run, str(run.position)
                        seen, last_rows, quiet = run.position, rows, 0.0
                    if run.resting:
                        return
                    if not await _changed(watch, PROGRESS_SECONDS):
                        quiet += PROGRESS_SECONDS
                    watch.take()

    def _progress(self, name: RunName) -> int:
        live = self._conductor.live.get(name)
        return sum(beat.row_count for beat in live.beats.values()) if live else 0

    async def runs(
        self, tenant: str, belongs: Callable[[RunName], bool], cursor: str
    ) -> AsyncGenerator[tuple[Run | None, str]]:
        """Yield every run that changed after the cursor, oldest change first, for ever."""
        history = self._conductor.mesh.history
        seen = position_of(cursor) or history.durable
        with self._counted(tenant):
            async with history.watching() as watch:
                while True:
                    watch.take()
                    changed = [
                        run
                        for run in history.ledger.runs.values()
                        if run.position > seen and belongs(run.name)
                    ]
                    for run in sorted(changed, key=lambda run: run.position):
                        await history.settled(run.position)
                        seen = run.position
                        yield run, str(seen)
                    if not changed and not await _changed(watch, QUIET_SECONDS):
                        yield None, str(seen)


async def _changed(watch: Watch, seconds: float) -> bool:
    try:
        await asyncio.wait_for(watch.changed.wait(), seconds)
    except TimeoutError:
        return False
    return True

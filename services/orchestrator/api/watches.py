"""Streams of changes: the present first, then every durable change, and something every 15 s."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Final

from libs.common.errors import InvalidRequest, QuotaExceeded
from libs.common.names import RunName
from libs.common.paging import POSITION
from services.orchestrator.conductor.conductor import Conductor
from services.orchestrator.journal.history import Watch
from services.orchestrator.runs.run import Run

QUIET_SECONDS: Final = 15.0
PROGRESS_SECONDS: Final = 0.5
"""While the state stays, changes of progress less than this apart share a message."""
MOST_PER_TENANT: Final = 100


class CursorInvalid(InvalidRequest):
    """A cursor that this server did not give."""

    reason = "PAGE_TOKEN_INVALID"


class TooManyWatches(QuotaExceeded):
    """The tenant has as many open watches as it may."""

    reason = "TOO_MANY_WATCHES"


def position_of(cursor: str, newest: int) -> int:
    """Return the journal position that a cursor stands for; 0 for an empty one.

    Raises:
        CursorInvalid: it is none, or lies beyond `newest`: this journal never gave it.
    """
    if cursor and not (POSITION.fullmatch(cursor) and int(cursor) <= newest):
        why = f"found {cursor[:30]!r}; allowed is the `cursor` of a message of this stream, or none"
        raise CursorInvalid({"cursor": why}, field="cursor")
    return int(cursor or 0)


class Until:
    """When a stream ends by itself; never without a limit."""

    def __init__(self, seconds: float | None) -> None:
        self._clock = asyncio.get_running_loop().time
        self._end = None if seconds is None else self._clock() + seconds

    def left(self, most: float) -> float:
        """Return the seconds that are left, at most `most`; 0 or less when it is over."""
        return most if self._end is None else min(most, self._end - self._clock())


class Watches:
    """All open watches of this process."""

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._open: dict[str, int] = {}
        self._watching: set[Watch] = set()
        self._ended = False

    def end(self) -> None:
        """End all streams, as when their time is over: whoever watches asks again, with its cursor."""
        self._ended = True
        for watch in self._watching:
            watch.changed.set()

    @contextlib.asynccontextmanager
    async def _noticing(self) -> AsyncGenerator[Watch]:
        async with self._conductor.mesh.history.watching() as watch:
            self._watching.add(watch)
            try:
                yield watch
            finally:
                self._watching.discard(watch)

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

    async def run(
        self, name: RunName, cursor: str, seconds: float | None = None
    ) -> AsyncGenerator[tuple[Run, str]]:
        """Yield a run now and after every change, until nothing moves by itself any more.

        While its state stays, what changed within PROGRESS_SECONDS is said once.

        With a cursor what the cursor's message said is not said again, unless the run rests: a
        stream never ends on a resting run without showing it. After `seconds` it ends anyhow.
        """
        history = self._conductor.mesh.history
        seen = position_of(cursor, history.durable)
        with self._counted(name.tenant):
            async with self._noticing() as watch:
                until, silence = Until(seconds), Until(QUIET_SECONDS)
                last_rows = self._progress(name) if cursor else -1
                said, pause = None, Until(0.0)
                while True:
                    run = history.ledger.runs[name]
                    await history.settled(run.position)
                    rows = self._progress(name)
                    changed = run.position > seen or rows != last_rows
                    moved = (run.state, run.attempt) != said
                    due = changed and (moved or pause.left(1.0) <= 0)
                    if due or run.resting or silence.left(1.0) <= 0:
                        yield run, str(run.position)
                        seen, last_rows, silence = run.position, rows, Until(QUIET_SECONDS)
                        said, pause = (run.state, run.attempt), Until(PROGRESS_SECONDS)
                    if run.resting or self._ended or (left := until.left(PROGRESS_SECONDS)) <= 0:
                        return
                    await _changed(watch, left)
                    watch.take()

    def _progress(self, name: RunName) -> int:
        live = self._conductor.live.get(name)
        return sum(beat.row_count for beat in live.beats.values()) if live else 0

    async def runs(
        self,
        tenant: str,
        belongs: Callable[[RunName], bool],
        cursor: str,
        seconds: float | None = None,
    ) -> AsyncGenerator[tuple[Run | None, str]]:
        """Yield every run that changed after the cursor, oldest change first, for ever.

        After `seconds` it ends. What changes several times meanwhile may be said once.
        """
        history = self._conductor.mesh.history
        seen = position_of(cursor, history.durable) or history.durable
        with self._counted(tenant):
            async with self._noticing() as watch:
                until, silence = Until(seconds), Until(QUIET_SECONDS)
                while True:
                    watch.take()
                    changed = [
                        run
                        for run in history.ledger.of_tenant(tenant)
                        if run.position > seen and belongs(run.name)
                    ]
                    for run in sorted(changed, key=lambda run: run.position):
                        await history.settled(run.position)
                        seen, silence = run.position, Until(QUIET_SECONDS)
                        yield run, str(seen)
                    if silence.left(1.0) <= 0:
                        silence = Until(QUIET_SECONDS)
                        yield None, str(seen)
                    if self._ended or (left := until.left(QUIET_SECONDS)) <= 0:
                        return
                    if not changed:
                        await _changed(watch, silence.left(left))


async def _changed(watch: Watch, seconds: float) -> None:
    """Wait until something has changed, but not longer than `seconds`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await watch.changed.wait()

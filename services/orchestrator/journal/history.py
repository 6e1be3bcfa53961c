"""The one place that decisions pass through: applied, journaled in groups, then promised."""

import asyncio
import contextlib
import dataclasses
import heapq
import itertools
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from libs.common.errors import ServiceError, Unavailable
from libs.common.names import RunName
from services.orchestrator.journal.journal import Journal
from services.orchestrator.journal.rows import JournalUnreadable, row_of, why, writer
from services.orchestrator.retries.pauses import JOURNAL, REAL, Pauses
from services.orchestrator.runs.checkpoints import newest_mark, parts_in, parts_of, restore
from services.orchestrator.runs.ledger import Ledger
from services.orchestrator.runs.records import (
    VERSION,
    CheckpointCompleted,
    Detail,
    EpochKept,
    EpochOpened,
    Record,
)
from services.orchestrator.runs.run import Run

GROUP: Final = 50
"""Most records in one append."""

GROUP_BYTES: Final = 7 * 1024 * 1024
"""Most bytes in one append of several records: together they stay below what a request may have."""

GATHER_SECONDS: Final = 0.1
"""How long a decision that waits for company may wait."""

KEPT_FOR: Final = timedelta(hours=12)
"""How long nothing is journaled at most: BigQuery ends a stream without traffic after three days."""


@dataclasses.dataclass(eq=False, slots=True)
class Watch:
    """Runs that changed since the watcher last looked, oldest change first."""

    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    runs: dict[RunName, None] = dataclasses.field(default_factory=dict)

    def take(self) -> list[RunName]:
        """Return and forget the runs that changed."""
        self.changed.clear()
        taken = list(self.runs)
        self.runs.clear()
        return taken


class History:
    """Applies decisions to the ledger at once and acknowledges them when they are durable.

    A decision sees every decision before it, durable or not. Nothing may be promised to anyone
    before `settled` returns. When the journal refuses for good, `write` raises and the process ends,
    so an undurable decision is never undone: it never was.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        epoch: int,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        pauses: Pauses = REAL,
    ) -> None:
        self.ledger = Ledger()
        self.epoch = epoch
        self.clock = clock
        self.new_id = new_id
        self._pauses = pauses
        self.durable = 0
        self._decided = clock()
        self._journal = journal
        self._queue: deque[tuple[Record, int]] = deque()
        self._work = asyncio.Event()
        self._later: asyncio.TimerHandle | None = None
        """When what waits for company is written, if nothing else is before."""
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        """Who waits for a position, lowest first; those of one position in the order they came."""
        self._waits = itertools.count()
        self._ended: ServiceError | None = None
        self._watches: set[Watch] = set()
        self._followers: list[Callable[[Run], None]] = []

    def follow(self, see: Callable[[Run], None]) -> None:
        """Call `see` with the run after each decision about one, at once, durable or not."""
        self._followers.append(see)

    def load(self, records: Sequence[Record]) -> None:
        """Fold the journal as it was found: all of it, or what a checkpoint leaves to be read.

        Raises:
            JournalUnreadable: a record does not follow from those before it, as this version knows
                it; a newer one may.
        """
        part = bool(records) and records[-1].position != len(records)
        mark = newest_mark(records) if part else 0
        for record in records:
            try:
                if mark and record.position > mark:
                    restore(self.ledger, parts_in(records, mark))
                    mark = 0
                self.ledger.add(record)
            except Exception as error:
                row = row_of(record)
                version = writer(self.ledger.versions, row)
                raise JournalUnreadable(row, why(error), version=version) from error
        self.durable = self.ledger.position

    def checkpoint(self) -> None:
        """Decide a checkpoint of the present state: a start needs to read no more than it keeps.

        Raises:
            RecordTooLarge: a part is larger than the journal takes; nothing was changed.
        """
        mark = self.ledger.position
        details: list[Detail] = [*parts_of(self.ledger), CheckpointCompleted(mark=mark)]
        for detail in details:
            self._journal.size_of(self._made(None, detail))
        for detail in details:
            self.decide(None, detail)

    def decide(self, run: RunName | None, detail: Detail, *, patient: bool = False) -> Run | None:
        """Apply a decision now; it becomes durable in the order of these calls.

        A patient one waits for the next that is not, at most GATHER_SECONDS: they share an append.

        Raises:
            IllegalMove: the state does not allow it; nothing was changed.
            RecordTooLarge: the journal cannot hold it; nothing was changed.
        """
        record = self._made(run, detail)
        size = self._journal.size_of(record)
        after = self.ledger.add(record)
        self._decided = record.time
        self._queue.append((record, size))
        if after is not None:
            for see in self._followers:
                see(after)
        if not patient:
            self._work.set()
        elif self._later is None:
            loop = asyncio.get_running_loop()
            self._later = loop.call_later(GATHER_SECONDS, self._work.set)
        return after

    def _made(self, run: RunName | None, detail: Detail) -> Record:
        return Record(
            event_id=self.new_id(),
            position=self.ledger.position + 1,
            epoch=self.epoch,
            run=str(run) if run else "",
            time=self.clock(),
            detail=detail,
        )

    async def record(self, run: RunName, detail: Detail, *, patient: bool = False) -> Run:
        """Decide, and return the run when the decision is durable."""
        after = self.decide(run, detail, patient=patient)
        assert after is not None
        await self.settled(after.position)
        return after

    async def settled(self, position: int) -> None:
        """Wait until all records up to `position` are durable. Raises why they never are after `end`."""
        if self.durable >= position:
            return
        if self._ended is not None:
            raise self._ended.with_traceback(None)
        durable = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (position, next(self._waits), durable))
        await durable

    def end(self, why: ServiceError) -> None:
        """Nobody writes any more: have `settled` raise `why`, for who waits already too."""
        self._ended = why
        for _, _, durable in self._waiting:
            if not durable.done():
                durable.set_exception(why)

    async def fence(self) -> None:
        """Return when a record of this epoch was taken; never if a successor is active: `write` raises."""
        self.decide(None, EpochKept())
        await self.settled(self.ledger.position)

    async def write(self) -> None:
        """Append what was decided, for ever. Raises JournalSealed when a successor is active."""
        self.decide(None, EpochOpened(version=VERSION, stream=self._journal.stream))
        while True:
            await self._work.wait()
            self._work.clear()
            if self._later is not None:
                self._later.cancel()
                self._later = None
            last = self.ledger.position
            while self._queue and self._queue[0][0].position <= last:
                group = self._take_group()
                await self._append(group)
                self._acknowledge(group)

    async def keep(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Let no KEPT_FOR pass without a record, for ever: so the stream that is written to lives."""
        while True:
            left = (self._decided + KEPT_FOR - self.clock()).total_seconds()
            if left > 0:
                await sleep(left)
            else:
                self.decide(None, EpochKept())

    def _take_group(self) -> list[Record]:
        """Take what waits, in order, up to what one append holds."""
        group: list[Record] = []
        left = GROUP_BYTES
        while self._queue and len(group) < GROUP:
            record, size = self._queue[0]
            if group and size > left:
                break
            self._queue.popleft()
            group.append(record)
            left -= size
        return group

    async def _append(self, group: list[Record]) -> None:
        for failed in itertools.count(1):
            try:
                return await self._journal.append(group)
            except Unavailable:
                await self._pauses.rest(JOURNAL, failed)
        return None

    def _acknowledge(self, group: list[Record]) -> None:
        self.durable = group[-1].position
        while self._waiting and self._waiting[0][0] <= self.durable:
            _, _, durable = heapq.heappop(self._waiting)
            if not durable.done():
                durable.set_result(None)
        for watch in self._watches:
            watch.runs.update((RunName.parse(record.run), None) for record in group if record.run)
            watch.changed.set()

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncGenerator[Watch]:
        """Follow durable changes from now on."""
        watch = Watch()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)

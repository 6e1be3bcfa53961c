"""Where records are kept: the port, and an implementation in memory."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Protocol

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.rows import payload_of
from services.orchestrator.runs.checkpoints import needed
from services.orchestrator.runs.records import EpochOpened, Record


class JournalSealed(FailedPrecondition):
    """A successor has finalized this orchestrator's stream: it must stop."""

    reason = "STREAM_SEALED"


class RecordTooLarge(FailedPrecondition):
    """A decision that the journal cannot hold: it is refused, and nothing has changed."""

    reason = "WAREHOUSE_REJECTED"

    def __init__(self, what: str, size: int, allowed: int) -> None:
        super().__init__(
            f"a record {what} of {size} bytes; the journal takes {allowed}: make the suite, the "
            "transforms or the number of chunks smaller",
            bytes=str(size),
            allowed=str(allowed),
        )


class JournalUnavailable(Unavailable):
    """The journal cannot be written or read now; the same call may succeed later."""

    reason = "WAREHOUSE_UNAVAILABLE"


class Journal(Protocol):
    """One epoch's way into the journal."""

    @property
    def stream(self) -> str:
        """Name of the stream that `open` opened; empty before that."""

    async def open(self, term: Term) -> tuple[list[Record], str]:
        """Seal the predecessor's stream, read the journal, open a stream of this term.

        The predecessor is whom the term names, and whoever wrote to the journal last: that may be
        another, where two orchestrators do not share what they are elected by.

        Returns:
            Records in order of position, and the name of the new stream: all of them, or where there
            is a checkpoint those after its mark and, before them, those of the runs that it keeps.

        Raises:
            FailedPrecondition: NOT_INITIALIZED before `convergence admin init`.
            JournalUnreadable: a record that this version does not know, or missing ones; no stream
                of this term was opened.
            Unavailable: try again.
        """

    def size_of(self, record: Record) -> int:
        """Return how many bytes of an append a record takes. Raises RecordTooLarge."""

    async def append(self, records: Sequence[Record]) -> None:
        """Make records durable, in order, all of them when this returns.

        Raises:
            JournalSealed: a successor is active.
            JournalUnavailable: nothing is known; append the same records again.
        """

    async def close(self) -> None:
        """Release what `open` opened."""


@dataclasses.dataclass(slots=True)
class MemoryJournals:
    """All epochs' journals over one list: what a set of orchestrators in one test shares."""

    records: list[Record] = dataclasses.field(default_factory=list)
    sealed: set[str] = dataclasses.field(default_factory=set)
    gate: asyncio.Event | None = None
    """A dial: appends wait for it."""
    largest_bytes: int = 1_000_000
    short: bool = False
    """A dial: a start reads from the last checkpoint on."""
    groups: list[int] = dataclasses.field(default_factory=list)
    """How many records each append had."""

    def member(self) -> "MemoryJournal":
        return MemoryJournal(self)


@dataclasses.dataclass(slots=True)
class MemoryJournal:
    """A journal in memory. Dials: `fail` appends fail before their effect, `lose` after it."""

    shared: MemoryJournals = dataclasses.field(default_factory=MemoryJournals)
    fail: int = 0
    lose: int = 0
    stream: str = ""
    _stored: int = 0
    """Position of the last record that was stored: one that is appended again is known by its own."""

    async def open(self, term: Term) -> tuple[list[Record], str]:
        opened = [x.detail.stream for x in self.shared.records if isinstance(x.detail, EpochOpened)]
        self.shared.sealed.update(filter(None, (term.predecessor, *opened[-1:])))
        self.stream = f"epoch-{term.epoch}"
        while self.stream in self.shared.sealed:
            self.stream += "'"
        self._stored = 0
        records = list(self.shared.records)
        return needed(records) if self.shared.short else records, self.stream

    def size_of(self, record: Record) -> int:
        size = len(payload_of(record.detail))
        if size > self.shared.largest_bytes:
            raise RecordTooLarge(record.detail.type, size, self.shared.largest_bytes)
        return size

    async def append(self, records: Sequence[Record]) -> None:
        await asyncio.sleep(0)
        if self.shared.gate is not None:
            await self.shared.gate.wait()
        if self.stream in self.shared.sealed:
            raise JournalSealed(f"stream {self.stream} was finalized", stream=self.stream)
        if self.fail:
            self.fail -= 1
            raise JournalUnavailable("the append was refused by a dial")
        self.shared.groups.append(len(records))
        self.shared.records.extend(r for r in records if r.position > self._stored)
        self._stored = max((self._stored, *(r.position for r in records)))
        if self.lose:
            self.lose -= 1
            raise JournalUnavailable("the answer was lost by a dial")

    async def close(self) -> None:
        self.stream = ""

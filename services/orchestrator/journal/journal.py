"""Where records are kept: the port, and an implementation in memory."""

import asyncio
import dataclasses
from collections.abc import Sequence
from typing import Protocol

from libs.common.errors import FailedPrecondition, Unavailable
from services.orchestrator.runs.records import Record


class JournalSealed(FailedPrecondition):
    """A successor has finalized this orchestrator's stream: it must stop."""

    reason = "STREAM_SEALED"


class JournalUnavailable(Unavailable):
    """The journal cannot be written or read now; the same call may succeed later."""

    reason = "WAREHOUSE_UNAVAILABLE"


class Journal(Protocol):
    """One epoch's way into the journal."""

    async def open(self, epoch: int, predecessor: str) -> tuple[list[Record], str]:
        """Seal the predecessor's stream, read everything, open a stream of this epoch.

        Args:
            epoch: Number of this leadership, greater than every earlier one.
            predecessor: Name of the stream of the epoch before; empty if there was none.

        Returns:
            All records in order of position, and the name of the new stream.

        Raises:
            FailedPrecondition: NOT_INITIALIZED before `convergence admin init`.
            Unavailable: try again.
        """

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

    def member(self) -> "MemoryJournal":
        return MemoryJournal(self)


@dataclasses.dataclass(slots=True)
class MemoryJournal:
    """A journal in memory. Dials: `fail` appends fail before their effect, `lose` after it."""

    shared: MemoryJournals = dataclasses.field(default_factory=MemoryJournals)
    fail: int = 0
    lose: int = 0
    stream: str = ""

    async def open(self, epoch: int, predecessor: str) -> tuple[list[Record], str]:
        if predecessor:
            self.shared.sealed.add(predecessor)
        self.stream = f"epoch-{epoch}"
        return list(self.shared.records), self.stream

    async def append(self, records: Sequence[Record]) -> None:
        await asyncio.sleep(0)
        if self.stream in self.shared.sealed:
            raise JournalSealed(f"stream {self.stream} was finalized", stream=self.stream)
        if self.fail:
            self.fail -= 1
            raise JournalUnavailable("the append was refused by a dial")
        known = {record.event_id for record in self.shared.records}
        self.shared.records.extend(r for r in records if r.event_id not in known)
        if self.lose:
            self.lose -= 1
            raise JournalUnavailable("the answer was lost by a dial")

    async def close(self) -> None:
        self.stream = ""

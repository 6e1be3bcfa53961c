"""kill -9 of an orchestrator at a record of its choice: a journal that takes no more, and the end of all tasks."""

import asyncio
import dataclasses
from collections.abc import Sequence

from services.orchestrator.journal.journal import MemoryJournal, MemoryJournals
from services.orchestrator.runs import records as r


class Cut(MemoryJournal):
    """A journal whose disk is full after some records: who waits for the next one is never told."""

    async def append(self, records: Sequence[r.Record]) -> None:
        shared = self.shared
        assert isinstance(shared, CutJournals)
        if shared.most and len(shared.records) + len(records) > shared.most:
            shared.reached.set()
            await asyncio.get_running_loop().create_future()
        await MemoryJournal.append(self, records)
        if shared.most and len(shared.records) >= shared.most:
            shared.reached.set()


@dataclasses.dataclass(slots=True)
class CutJournals(MemoryJournals):
    most: int = 0
    reached: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def member(self) -> MemoryJournal:
        return Cut(self)


async def kill() -> None:
    """End everything but the test at once; a task that a cancellation missed is cancelled again."""
    async with asyncio.timeout(5):
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in others:
                task.cancel()
            await asyncio.wait(others, timeout=0.01)

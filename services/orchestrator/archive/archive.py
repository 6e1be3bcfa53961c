"""Where the ledger's past is read again: the port, and an implementation in memory."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

from libs.common.errors import Unavailable
from libs.common.names import PipelineName, RunName, TenantName
from services.orchestrator.runs.facts import Fact, facts_of, recall
from services.orchestrator.runs.ledger import Key, Ledger, key_of
from services.orchestrator.runs.records import Record


class PublishedGone(Unavailable):
    """What was published before the last checkpoint is not known: the next start makes it anew."""

    reason = "WAREHOUSE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__(
            "metadata.published is not whole; this orchestrator stops, and its next start rebuilds it "
            "from the journal"
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run of the past and the journal position at which it was created."""

    position: int
    name: RunName


class Archive(Protocol):
    """Reads what the journal and its projections know of runs, whatever the ledger still has."""

    async def published(self, key: Key) -> list[Fact]:
        """Return what a pipeline has published to a table, as far as runs that left the ledger did.

        Raises:
            PublishedGone: nobody knows.
            Unavailable: try again.
        """

    async def records(self, names: Sequence[RunName]) -> list[Record]:
        """Return all records of runs in order of position; none of a run that there is not."""

    async def begun(
        self,
        parent: TenantName | PipelineName,
        *,
        states: frozenset[str],
        below: int,
        limit: int,
    ) -> list[Begun]:
        """Return runs in one of `states` (any, if empty), the last created first.

        Args:
            parent: Whose runs.
            states: As in RunState.
            below: Runs created before this position; 0 for all.
            limit: Most that are returned.
        """


async def know(archive: Archive, ledger: Ledger, key: Key) -> None:
    """Have a ledger know all that a pipeline has published to a table.

    Raises:
        PublishedGone: nobody knows; the next start makes `metadata.published` anew.
        Unavailable: try again.
    """
    while not ledger.knows(key):
        forgotten = ledger.forgotten_count
        facts = await archive.published(key)
        if ledger.forgotten_count == forgotten:
            recall(ledger, key, facts)


def begun(
    ledger: Ledger,
    parent: TenantName | PipelineName,
    *,
    states: frozenset[str],
    below: int,
    limit: int,
) -> list[Begun]:
    """Return runs as `Archive.begun` does, of those that a ledger has."""
    found = [
        Begun(position=ledger.begun(run), name=run.name)
        for run in ledger.runs.values()
        if parent in (run.name.parent, TenantName(run.name.tenant))
        and (not states or run.state in states)
        and (not below or ledger.begun(run) < below)
    ]
    return sorted(found, key=lambda one: -one.position)[:limit]


@dataclasses.dataclass(slots=True)
class MemoryArchive:
    """An archive over the records of a whole journal."""

    journaled: Callable[[], Sequence[Record]] = tuple

    def _ledger(self) -> Ledger:
        ledger = Ledger()
        for record in self.journaled():
            ledger.add(record)
        return ledger

    async def published(self, key: Key) -> list[Fact]:
        ledger = self._ledger()
        runs = sorted(ledger.published_at, key=lambda name: ledger.published_at[name])
        facts: dict[tuple[str, str], Fact] = {}
        for run in (ledger.runs[name] for name in runs):
            if key_of(run) == key:
                facts |= {(fact.kind, fact.name): fact for fact in facts_of(ledger, run)}
        return list(facts.values())

    async def records(self, names: Sequence[RunName]) -> list[Record]:
        wanted = {str(name) for name in names}
        return [record for record in self.journaled() if record.run in wanted]

    async def begun(
        self,
        parent: TenantName | PipelineName,
        *,
        states: frozenset[str],
        below: int,
        limit: int,
    ) -> list[Begun]:
        return begun(self._ledger(), parent, states=states, below=below, limit=limit)

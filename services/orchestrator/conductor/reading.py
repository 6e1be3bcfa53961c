"""Runs as callers read them: from the ledger, or from the archive when they have left it."""

from collections.abc import Sequence

from libs.common.names import PipelineName, RunName, TenantName
from services.orchestrator.archive.archive import Begun, begun
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.runs.records import Record
from services.orchestrator.runs.run import Run, folded


class Reader:
    """Reads runs whatever their age. What it returns of old ones is what their records say."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh

    async def run(self, name: RunName) -> Run | None:
        """Return a run as it is now; None if there is none. Raises Unavailable."""
        found = await self.runs([name])
        return found.get(name)

    async def runs(self, names: Sequence[RunName]) -> dict[RunName, Run]:
        """Return those runs that there are, by name. Raises Unavailable."""
        ledger = self._mesh.history.ledger
        found = {name: ledger.runs[name] for name in names if name in ledger.runs}
        left = [name for name in names if name not in found]
        if left and ledger.recalled is not None:
            found |= folded(await self._mesh.archive.records(left))
        return found

    async def records(self, name: RunName) -> Sequence[Record]:
        """Return all records of a run, in order; none if there is no such run. Raises Unavailable."""
        kept = self._mesh.history.ledger.history.get(name)
        return kept if kept is not None else await self._mesh.archive.records([name])

    async def begun(
        self,
        parent: TenantName | PipelineName,
        *,
        states: frozenset[str],
        below: int,
        limit: int,
    ) -> list[Begun]:
        """Return runs as `Archive.begun` does, of the ledger and of what has left it."""
        ledger = self._mesh.history.ledger
        kept = begun(ledger, parent, states=states, below=below, limit=limit)
        if len(kept) == limit and kept[-1].position > ledger.forgotten:
            return kept
        if ledger.recalled is None:
            return kept
        known = set(ledger.runs)
        older = await self._mesh.archive.begun(parent, states=states, below=below, limit=limit)
        both = [*kept, *(one for one in older if one.name not in known)]
        return sorted(both, key=lambda one: -one.position)[:limit]

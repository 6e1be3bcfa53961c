"""Bugs that are planted to see that they are found: each makes the orchestrator break one promise."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import Callable, Generator
from typing import Any, Final

from services.orchestrator.conductor import assignments, auditing, ingesting, publishing
from services.orchestrator.conductor.mesh import Mesh
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import MemoryJournal
from services.orchestrator.runs import records as r
from services.orchestrator.runs.ledger import Ledger, Newest, scope
from services.orchestrator.runs.run import Run
from tests.sim import faults
from tests.sim.neighbours import SimWarehouse

Mutant = Callable[[], contextlib.AbstractContextManager[None]]


def replaced(owner: Any, name: str, by: Any) -> Mutant:
    """Return a mutant that has `by` in the place of an attribute."""

    @contextlib.contextmanager
    def mutated() -> Generator[None]:
        before = getattr(owner, name)
        setattr(owner, name, by)
        try:
            yield
        finally:
            setattr(owner, name, before)

    return mutated


def both(*mutants: Mutant) -> Mutant:
    """Return a mutant that has several bugs: one alone would be harmless."""

    @contextlib.contextmanager
    def mutated() -> Generator[None]:
        with contextlib.ExitStack() as stack:
            for mutant in mutants:
                stack.enter_context(mutant())
            yield

    return mutated


async def _at_once(self: History, position: int) -> None:
    """Nothing is waited for."""


_OPEN = MemoryJournal.open


async def _unsealed(self: MemoryJournal, term: Term) -> tuple[list[r.Record], str]:
    sealed = set(self.shared.sealed)
    try:
        return await _OPEN(self, dataclasses.replace(term, predecessor=""))
    finally:
        self.shared.sealed = sealed


async def _believing(mesh: Mesh, run: Run) -> list[str]:
    """Rows of tries that the journal does not name stay in staging, and are published."""
    counts = await mesh.warehouse.chunk_counts(run)
    named = {(done.chunk_id, done.chunk_attempt): done for done in run.landed.values()}
    return [
        done.chunk_id
        for key, done in named.items()
        if done.landed_row_count and counts.get(key) is None
    ]


async def _unlocked(self: publishing.TableLocks, table: str, run: object) -> None:
    """Whoever asks has the table."""


def _all_mine(self: Ledger, run: Run) -> Newest:
    columns = [column for column, _ in run.scope]
    values = [(value,) for value in run.scope[0][1]] if run.scope else []
    if len(columns) > 1:
        return Newest(mine=run.scope, older=())
    return Newest(mine=scope(columns, values), older=(), deliveries=run.deliveries)


_RECORD = Mesh.record


async def _hasty(self: Mesh, run: Run, detail: r.Detail, *, patient: bool = False) -> Run:
    """A publication begins before its intent is durable."""
    if isinstance(detail, r.RunPublishing):
        after = self.history.decide(run.name, detail)
        assert after is not None
        return after
    return await _RECORD(self, run, detail, patient=patient)


async def _abandoned(work: asyncio.Task[Any]) -> None:
    """A call goes on by itself when its caller is cancelled."""


async def _untidy(self: SimWarehouse, run: Run) -> None:
    """Nobody removes what a run leaves that published nothing."""


_COMMITTER = ingesting._Committer


class _Whole(_COMMITTER):
    """Commits whatever this process has decided, durable or not."""

    async def _commit(self) -> None:
        self._named = dict(self._mesh.run(self._run).landed)
        await _COMMITTER._commit(self)


_PUBLISH = SimWarehouse.publish


async def _greedy(self: SimWarehouse, run: Run, publishing_: r.RunPublishing) -> None:
    """The statement takes whatever lies in staging."""
    if publishing_.job_id:
        what = json.loads(publishing_.statement)
        what["attempts"] = [row.attempt for row in self.tables.get(what["staging"], [])]
        publishing_ = publishing_.model_copy(update={"statement": json.dumps(what)})
    await _PUBLISH(self, run, publishing_)


GREEDY = replaced(SimWarehouse, "publish", _greedy)

MUTANTS: Final[dict[str, Mutant]] = {
    "acknowledge before the append returns": replaced(History, "settled", _at_once),
    "do not seal the predecessor's stream": replaced(MemoryJournal, "open", _unsealed),
    "accept the rows of any try": both(replaced(auditing, "_count_staging", _believing), GREEDY),
    "commit streams that the journal does not name yet": both(
        replaced(ingesting, "_Committer", _Whole), GREEDY
    ),
    "number tries alike in each epoch": replaced(assignments, "TRIES_PER_EPOCH", 0),
    "forget the table's lock": replaced(publishing.TableLocks, "take", _unlocked),
    "publish without asking for the newest look": replaced(Ledger, "newest", _all_mine),
    "publish before the intent is durable": replaced(Mesh, "record", _hasty),
    "leave a call alone when its caller is cancelled": replaced(faults, "ended", _abandoned),
    "leave what a cancelled run has staged": replaced(SimWarehouse, "tidy_unpublished", _untidy),
}

"""The neighbours that phases talk to, opened once."""

import dataclasses
import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from services.orchestrator.archive.archive import Archive, MemoryArchive, know
from services.orchestrator.journal.history import History
from services.orchestrator.judges.judges import Judge
from services.orchestrator.retries.causes import account_of
from services.orchestrator.retries.retries import Retries
from services.orchestrator.runs.lanes import Lane
from services.orchestrator.runs.ledger import Key
from services.orchestrator.runs.records import Detail, Share
from services.orchestrator.runs.run import Run
from services.orchestrator.specs import OpenAiOptions, PipelineSpec
from services.orchestrator.warehouse.warehouse import Warehouse
from services.orchestrator.workers.accounts import Ask
from services.orchestrator.workers.dispatcher import Dispatcher, Seat


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """What a phase may use. Time and sleep come from here."""

    history: History
    warehouse: Warehouse
    dispatcher: Dispatcher
    judge: Judge
    clock: Callable[[], datetime]
    sleep: Callable[[float], Awaitable[None]]
    """Waits for a moment; `retries` waits before another try."""
    retries: Retries
    shares: Callable[[str], Share | None] = lambda _: None
    """What auth said last that a tenant may have; None where it said nothing yet."""
    archive: Archive = dataclasses.field(default_factory=MemoryArchive)
    """What the ledger has forgotten; the default is for one that forgets nothing."""
    tries: Iterator[int] = dataclasses.field(default_factory=lambda: itertools.count(1))
    """Numbers of chunk tries of this epoch."""
    beat_seconds: float = 10.0
    """Silence of a worker after which its attempt is dead."""
    gather_seconds: float = 1.0
    """How long finished streams of a run are gathered between two commits into its staging."""

    def run(self, run: Run) -> Run:
        """Return the newest version of a run."""
        return self.history.ledger.runs[run.name]

    def requests(self, run: Run, place: int) -> AbstractAsyncContextManager[float]:
        """Wait for a share of the account that a run's source is read with, for a chunk, as for a slot."""
        order = (self.history.ledger.begun(run), place)
        return self.dispatcher.accounts.share(_ask(run.spec, lane=run.lane, order=order))

    async def requests_of_plan(self, spec: PipelineSpec) -> None:
        """Wait until the account that a source is read with has the requests that its plan makes."""
        if isinstance(spec.source.options, OpenAiOptions):
            await self.dispatcher.accounts.earn(_ask(spec), len(spec.source.options.reports))

    async def recall(self, key: Key) -> None:
        """Have the ledger know all that a pipeline has published to a table.

        Raises:
            PublishedGone: this orchestrator must end; its next start makes `metadata.published` anew.
            Unavailable: try again.
        """
        await know(self.archive, self.history.ledger, key)

    def seat(
        self, run: Run, place: int, *, avoid: frozenset[str]
    ) -> AbstractAsyncContextManager[Seat]:
        """Wait for a slot for a chunk of a run; a lane's oldest run goes first, the least `place` in it."""
        tenant, ledger = run.name.tenant, self.history.ledger
        return self.dispatcher.seat(
            tenant,
            lane=run.lane,
            order=(ledger.begun(run), place),
            share=ledger.share(tenant),
            avoid=avoid,
        )

    async def record(self, run: Run, detail: Detail, *, patient: bool = False) -> Run:
        """Journal a decision about a run and return the run after it; a patient one gathers others."""
        return await self.history.record(run.name, detail, patient=patient)


def _ask(
    spec: PipelineSpec, *, lane: Lane = Lane.INTERACTIVE, order: tuple[int, ...] = (0,)
) -> Ask:
    options = spec.source.options
    rate = options.requests_per_minute if isinstance(options, OpenAiOptions) else 0.0
    return Ask(account=account_of(spec).account, per_minute=rate, lane=lane, order=order)

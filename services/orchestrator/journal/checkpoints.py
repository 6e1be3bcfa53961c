"""When checkpoints are written, and runs leave the ledger: what a start reads and holds stays bounded."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog

from services.orchestrator.journal.history import History
from services.orchestrator.journal.journal import RecordTooLarge
from services.orchestrator.runs.facts import forget, forgettable
from services.orchestrator.runs.run import Run

log = structlog.get_logger()

EVERY: Final = timedelta(days=1)
RECORDS: Final = 200_000
"""Records since the last checkpoint after which the next one does not wait for its day."""

KEPT_FOR: Final = timedelta(days=2)
"""How long a run that ended stays in the ledger: its request id is known, watches see it."""

LOOK_SECONDS: Final = 600.0


class Checkpoints:
    """Writes checkpoints of the active orchestrator's state.

    Args:
        history: What is decided.
        written: Whether a run as it is now stands in the projections that it is recalled from.
        kept_for: How long a run that ended stays.
    """

    def __init__(
        self, history: History, *, written: Callable[[Run], bool], kept_for: timedelta = KEPT_FOR
    ) -> None:
        self._history = history
        self._written = written
        self._kept_for = kept_for

    async def keep(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Write one a day, or sooner when much was journaled, for ever."""
        while True:
            await sleep(LOOK_SECONDS)
            if self.due():
                self.write()

    def due(self) -> bool:
        """Return whether the last checkpoint is a day or many records behind."""
        ledger = self._history.ledger
        if ledger.since is None:
            return False
        late = self._history.clock() - ledger.since >= EVERY
        return late or ledger.position - ledger.mark >= RECORDS

    def write(self) -> None:
        """Let runs leave that ended long ago, and decide a checkpoint of what stays."""
        ledger = self._history.ledger
        ended_before = self._history.clock() - self._kept_for
        leaving = forgettable(ledger, ended_before=ended_before, written=self._written)
        forget(ledger, leaving)
        try:
            self._history.checkpoint()
        except RecordTooLarge as error:
            log.error("checkpoint.refused", cause=str(error))  # noqa: TRY400 the cause says it all
            return
        log.info(
            "checkpoint.written", mark=ledger.mark, kept_runs=len(ledger.runs), left=len(leaving)
        )

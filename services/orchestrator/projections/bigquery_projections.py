"""`metadata.pipeline_runs`, `dq_results` and `published`: MERGEd in batches, newer positions only."""

import asyncio
import contextlib
import datetime as dt
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

import structlog

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.bigquery.ids import TableId
from libs.common.errors import ServiceError
from libs.common.names import RunName
from libs.metadata.tables import DATASET, DQ_RESULTS, PIPELINE_RUNS, RUN_EVENTS, MetadataTable
from services.orchestrator.archive.archive import PublishedGone
from services.orchestrator.archive.bigquery_archive import BigQueryArchive
from services.orchestrator.journal.bigquery_journal import parameters_of, run_batches
from services.orchestrator.journal.history import History, Watch
from services.orchestrator.projections.bigquery_published import BigQueryPublished
from services.orchestrator.projections.bigquery_rows import SECONDS, BigQueryRows
from services.orchestrator.projections.rows import (
    all_result_rows,
    last_said,
    result_rows,
    run_of,
    run_row,
)
from services.orchestrator.projections.statements import BATCH, behind
from services.orchestrator.retries.pauses import PROJECTION, Pauses
from services.orchestrator.runs.run import Run, folded
from services.orchestrator.runs.states import RunState

log = structlog.get_logger()

PAUSE_SECONDS: Final = 2.0
"""How long changes are gathered before they are written: a short run is one MERGE, not one a state."""

PROGRESS: Final = dt.timedelta(seconds=30)
"""How far the row of a run may lie behind it while its state stays: a chunk more is no MERGE more."""

REBUILT: Final = 50
"""Runs that left the ledger and are read and written at once."""

RUN_KEY: Final = ("run_name",)
RESULT_KEY: Final = ("tenant_id", "run_id", "attempt", "expectation")
TABLES: Final = (RUN_EVENTS, PIPELINE_RUNS, DQ_RESULTS)
NAMED: Final = ("tenant_id", "pipeline_id", "run_id")

_Said: TypeAlias = tuple[RunState, int, int]


def _said(run: Run) -> _Said:
    """Return what of a run is written as soon as it changes."""
    return run.state, run.attempt, run.audit_position


class BigQueryProjections:
    """Follows the journal; what it has not written yet, it writes after the next start.

    A run of which BigQuery refuses a row keeps no other from being written. It is not `written`, so
    it stays in the ledger and in checkpoints; it is tried again when it changes, every `again_seconds`
    and after the next start.

    Args:
        bigquery: Where the tables are.
        history: The journal.
        observe_refused: Is told of how many runs a row is refused now.
        again_seconds: After how long those are tried again: somebody may have mended the table.
    """

    def __init__(
        self,
        bigquery: BigQuery,
        history: History,
        *,
        observe_refused: Callable[[int], None] = lambda _: None,
        again_seconds: float = 600.0,
    ) -> None:
        self._bq = bigquery
        self._history = history
        self._observe_refused = observe_refused
        self._again_seconds = again_seconds
        self._again = 0.0
        """When, in the loop's time, what is refused is tried again."""
        self._rows = BigQueryRows(bigquery)
        self._refused: dict[RunName, None] = {}
        """Runs of which BigQuery refuses a row."""
        self._judged: dict[RunName, int] = {}
        """Audit of each open run whose results are written already."""
        self._followed: dict[RunName, tuple[_Said, dt.datetime]] = {}
        """What the row of each open run says, and when the run was so."""
        self._published = BigQueryPublished(bigquery, history)
        self._archive = BigQueryArchive(bigquery)
        self._whole = False
        """Whether `published` has what runs that leave the ledger have published."""
        self._positions: dict[RunName, int] = {}
        """Position of each run of the ledger as the tables have it."""

    def written(self, run: Run) -> bool:
        """Return whether a run as it is now, and what it published, can be read from the tables."""
        return self._whole and self._positions.get(run.name, 0) >= run.position

    async def follow(self, sleep: Callable[[float], Awaitable[None]]) -> None:
        """Write every run that changed, for ever; a BigQuery that is away is waited for.

        Raises PublishedGone where it can not be known what stands beside what a run has published.

        A new state, attempt or audit is written soon. Counts of a run that stays in its state follow
        by no more than PROGRESS of the run's own changes, and are whole with its next state.
        """
        pauses = Pauses(sleep=sleep)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._rebuild(pauses))
            await self._follow(pauses)

    async def _rebuild(self, pauses: Pauses) -> None:
        """Write what the tables lack of runs that have left the ledger: all, where one is new."""
        if self._history.ledger.recalled is None:
            return
        failed = 0
        waiting: list[RunName] | None = None
        while waiting is None or waiting:
            try:
                if waiting is None:
                    waiting = await self._forgotten_behind()
                records = await self._archive.records(waiting[:REBUILT])
                results = [(run_of(row), row) for row in all_result_rows(records)]
                await self._rows.merge(DQ_RESULTS, RESULT_KEY, results)
                rows = [(run.name, run_row(run)) for run in folded(records).values()]
                await self._rows.merge(PIPELINE_RUNS, RUN_KEY, rows)
                waiting, failed = waiting[REBUILT:], 0
            except ServiceError as error:
                log.warning("projection.delayed", cause=str(error))
                failed += 1
                await pauses.rest(PROJECTION, failed)

    async def _forgotten_behind(self) -> list[RunName]:
        """Return runs that have left the ledger and of which a table lacks rows."""
        rows = await asyncio.to_thread(
            jobs.query, self._bq, behind(*map(self._table, TABLES)), timeout=SECONDS
        )
        names = (RunName(*(str(row[c]) for c in NAMED)) for row in rows)
        return [name for name in names if name not in self._history.ledger.runs]

    async def _follow(self, pauses: Pauses) -> None:
        async with self._history.watching() as watch:
            waiting = {run.name: None for run in await self._behind()}
            failed = 0
            while True:
                if not waiting:
                    await self._declare_whole(pauses)
                    await self._changed(watch)
                    await pauses.sleep(PAUSE_SECONDS)
                    waiting.update(dict.fromkeys(filter(self._due, watch.take())))
                    waiting.update(self._due_again())
                runs = [self._history.ledger.runs[name] for name in list(waiting)[:BATCH]]
                try:
                    await self.write(runs)
                except PublishedGone:
                    raise
                except ServiceError as error:
                    log.warning("projection.delayed", cause=str(error))
                    failed += 1
                    await pauses.rest(PROJECTION, failed)
                else:
                    failed = 0
                    for run in runs:
                        waiting.pop(run.name, None)
                        self._followed[run.name] = _said(run), run.update_time
                        if run.resting:
                            del self._followed[run.name]

    async def _changed(self, watch: Watch) -> None:
        """Return when something changed, or it is time for what was refused."""
        left = self._again - asyncio.get_running_loop().time()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left if self._refused else None):
                await watch.changed.wait()

    def _due_again(self) -> dict[RunName, None]:
        """Return the runs of which a row was refused, if it is time to try them again."""
        now = asyncio.get_running_loop().time()
        if now < self._again:
            return {}
        self._again = now + self._again_seconds
        return dict(self._refused)

    def _due(self, name: RunName) -> bool:
        """Return whether a run that changed is to be written, or may wait for more."""
        run = self._history.ledger.runs[name]
        if run.resting or name not in self._followed:
            return True
        said, time = self._followed[name]
        return _said(run) != said or run.update_time - time >= PROGRESS

    async def _behind(self) -> list[Run]:
        """Return the runs that a table does not have as they are now: of a new table, all of them."""
        ledger = self._history.ledger
        try:
            self._whole = await self._published.whole()
            known = await self._written(PIPELINE_RUNS)
            judged = await self._written(DQ_RESULTS)
        except ServiceError as error:
            log.warning("projection.delayed", cause=str(error))
            return list(ledger.runs.values())
        behind = [
            run
            for name, run in ledger.runs.items()
            if run.position > known.get(name, (0, 0))[0]
            or (name in ledger.published_at and not self._whole)
            or last_said(ledger.history[name]) > judged.get(name, (0, 0))
        ]
        lacking = {run.name for run in behind}
        self._positions = {
            name: position for name, (position, _) in known.items() if name not in lacking
        }
        return behind

    async def _declare_whole(self, pauses: Pauses) -> None:
        """Everything is written: runs may leave from here on, and starts may begin at checkpoints."""
        for failed in itertools.count(1):
            if self._whole:
                return
            try:
                if self._history.ledger.recalled is None:
                    await self._published.declare_whole()
                self._whole = await self._published.whole()
            except ServiceError as error:
                log.warning("projection.delayed", cause=str(error))
                await pauses.rest(PROJECTION, failed)
            else:
                return

    async def _written(self, table: MetadataTable) -> dict[RunName, tuple[int, int]]:
        """Return the highest position that a table has of each run of the ledger, and in how many rows."""
        found: dict[RunName, tuple[int, int]] = {}
        for some in run_batches(list(self._history.ledger.runs)):
            statement = (
                "SELECT tenant_id, pipeline_id, run_id, position, COUNT(*) AS held"
                f" FROM {self._table(table).sql}"
                " WHERE tenant_id IN UNNEST(@tenants) AND run_id IN UNNEST(@runs)"
                " GROUP BY tenant_id, pipeline_id, run_id, position"
            )
            parameters = parameters_of(some)
            rows = await asyncio.to_thread(
                jobs.query, self._bq, statement, parameters, timeout=SECONDS
            )
            for row in rows:
                name = RunName(*(str(row[c]) for c in NAMED))
                held = int(str(row["position"])), int(str(row["held"]))
                found[name] = max(held, found.get(name, held))
        return found

    async def write(self, runs: Sequence[Run]) -> None:
        """Write the results of runs that were audited, then the runs; may be repeated.

        The row of a run comes last: it says that all that it has published is there. So of a run of
        which a fact is refused there is none; the results of an audit are asked for by themselves.
        """
        audited = [run for run in runs if run.audit_position != self._judged.get(run.name, 0)]
        history = self._history.ledger.history
        results = [(run.name, row) for run in audited for row in result_rows(history[run.name])]
        unjudged = await self._rows.merge(DQ_RESULTS, RESULT_KEY, results)
        unpublished = await self._published.write(runs)
        rows = [(run.name, run_row(run)) for run in runs if run.name not in unpublished]
        refused = unpublished | await self._rows.merge(PIPELINE_RUNS, RUN_KEY, rows)
        for run in runs:
            if run.name not in unjudged and not run.resting:
                self._judged[run.name] = run.audit_position
            else:
                self._judged.pop(run.name, None)
        self._note(runs, refused | unjudged)

    def _note(self, runs: Sequence[Run], refused: set[RunName]) -> None:
        """Keep which runs the tables have as they are now, and which they refuse."""
        if not self._refused:
            self._again = asyncio.get_running_loop().time() + self._again_seconds
        kept = self._history.ledger.runs
        if len(self._positions) > len(kept):
            self._positions = {k: v for k, v in self._positions.items() if k in kept}
        for run in runs:
            if run.name not in refused:
                self._positions[run.name] = run.position
                self._refused.pop(run.name, None)
            else:
                self._positions.pop(run.name, None)
                self._refused[run.name] = None
        self._observe_refused(len(self._refused))

    def _table(self, table: MetadataTable) -> TableId:
        return TableId(self._bq.connection.project, DATASET, table.name)

"""`metadata.published`: what pipelines have published, for a ledger that has forgotten it."""

import asyncio
import datetime as dt
from collections.abc import Iterable
from typing import Final

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.bigquery.ids import TableId
from libs.common.names import RunName
from libs.metadata.tables import DATASET, PUBLISHED
from services.orchestrator.archive.archive import know
from services.orchestrator.archive.bigquery_archive import PLATFORM, WHOLE, BigQueryArchive
from services.orchestrator.journal.history import History
from services.orchestrator.projections.bigquery_rows import SECONDS, BigQueryRows
from services.orchestrator.projections.statements import Row, entry, merge, parameters
from services.orchestrator.runs.facts import facts_of
from services.orchestrator.runs.ledger import key_of
from services.orchestrator.runs.run import Run

KEY: Final = ("tenant_id", "pipeline_id", "table_id", "kind", "scope_key")


class BigQueryPublished:
    """Writes facts; a row changes only to a higher position."""

    def __init__(self, bigquery: BigQuery, history: History) -> None:
        self._bq = bigquery
        self._history = history
        self._table = TableId(bigquery.connection.project, DATASET, PUBLISHED.name).sql
        self._rows = BigQueryRows(bigquery)
        self._archive = BigQueryArchive(bigquery)
        self._written: set[RunName] = set()

    async def whole(self) -> bool:
        """Return whether the table has all that runs which left a ledger have published."""
        statement = (
            f"SELECT kind FROM {self._table} WHERE tenant_id = '{PLATFORM}' AND kind = '{WHOLE}'"
        )
        return bool(await asyncio.to_thread(jobs.query, self._bq, statement, timeout=SECONDS))

    async def declare_whole(self) -> None:
        """Say that the table has what every run that is published in the journal has published."""
        position = self._history.durable
        row = dict.fromkeys(("pipeline_id", "table_id", "scope_key"), PLATFORM)
        whole = row | {"tenant_id": PLATFORM, "kind": WHOLE, "position": position}
        statement = merge(self._table, PUBLISHED, KEY)
        told = parameters([entry(whole, PUBLISHED)])
        await asyncio.to_thread(jobs.query, self._bq, statement, told, timeout=SECONDS)

    async def write(self, runs: Iterable[Run]) -> set[RunName]:
        """Write what runs have published by now, whatever state of them is handed over. May be repeated.

        Returns those of which BigQuery refuses a row.

        Where runs say something of one scope value, input or delivery, what the newest says is written;
        where it is refused, so are all. A delivery's objects are all that stand under it: those of runs that have left are recalled
        first, or they would be gone from the table with the row that named them.
        """
        ledger = self._history.ledger
        self._written &= ledger.published_at.keys()
        known = self._written
        names = [x.name for x in runs if x.name in ledger.published_at and x.name not in known]
        published = [ledger.runs[name] for name in names]
        for key in {key_of(run) for run in published}:
            await know(self._archive, ledger, key)
        said: dict[tuple[object, ...], dict[RunName, Row]] = {}
        for run in sorted(published, key=lambda run: ledger.published_at[run.name]):
            for row in fact_rows(self._history, run):
                said.setdefault(tuple(row[name] for name in KEY), {})[run.name] = row
        newest = [list(of.items())[-1] for of in said.values()]
        refused = await self._rows.merge(PUBLISHED, KEY, newest)
        refused |= {name for of in said.values() if refused & of.keys() for name in of}
        self._written.update(run.name for run in published if run.name not in refused)
        return refused


def fact_rows(history: History, run: Run) -> list[dict[str, object]]:
    """Return what a run has published as rows of `published`."""
    pipeline, table = key_of(run)
    position = history.ledger.published_at[run.name]
    (time,) = (x.time for x in history.ledger.history[run.name] if x.position == position)
    return [
        {
            "tenant_id": pipeline.tenant,
            "pipeline_id": pipeline.pipeline,
            "table_id": table,
            "scope_key": fact.name,
            "kind": fact.kind,
            "content_hash": fact.content,
            "snapshot": fact.snapshot,
            "run_id": fact.run,
            "position": fact.position,
            "publish_time": time.astimezone(dt.UTC),
        }
        for fact in facts_of(history.ledger, run)
    ]

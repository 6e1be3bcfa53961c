"""The archive in BigQuery: `metadata.published`, and the journal itself."""

import asyncio
from collections.abc import Sequence
from typing import Final

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.bigquery.ids import TableId
from libs.bigquery.jobs import Row
from libs.common.names import PipelineName, RunName, TenantName
from libs.metadata.tables import DATASET, PIPELINE_RUNS, PUBLISHED, RUN_EVENTS
from services.orchestrator.archive.archive import Begun, PublishedGone
from services.orchestrator.journal.rows import COLUMNS, record_of
from services.orchestrator.runs.facts import Fact
from services.orchestrator.runs.ledger import Key
from services.orchestrator.runs.records import VERSION, Record

WHOLE: Final = "whole"
"""Kind of the one row of `metadata.published` that says: nothing is missing that has left a ledger."""

PLATFORM: Final = "-"
"""Tenant of that row."""

SECONDS: Final = 60.0


class BigQueryArchive:
    """Reads the past; a query each."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bq = bigquery
        project = bigquery.connection.project
        self._published = TableId(project, DATASET, PUBLISHED.name).sql
        self._events = TableId(project, DATASET, RUN_EVENTS.name).sql
        self._runs = TableId(project, DATASET, PIPELINE_RUNS.name).sql

    async def published(self, key: Key) -> list[Fact]:
        pipeline, table = key
        rows = await self._query(
            f"SELECT kind, scope_key, content_hash, snapshot, run_id, position FROM {self._published}"
            " WHERE (tenant_id = @tenant AND pipeline_id = @pipeline AND table_id = @table)"
            f" OR (tenant_id = '{PLATFORM}' AND kind = '{WHOLE}')",
            tenant=pipeline.tenant,
            pipeline=pipeline.pipeline,
            table=table,
        )
        facts = [_fact(row) for row in rows if row["kind"] != WHOLE]
        if len(facts) == len(rows):
            raise PublishedGone
        return facts

    async def records(self, names: Sequence[RunName]) -> list[Record]:
        if not names:
            return []
        rows = await self._query(
            f"SELECT {COLUMNS} FROM {self._events}"
            " WHERE tenant_id IN UNNEST(@tenants) AND run_id IN UNNEST(@runs) ORDER BY position",
            tenants=sorted({name.tenant for name in names}),
            runs=sorted({name.run for name in names}),
        )
        wanted = {str(name) for name in names}
        records = [record_of(row, {0: VERSION}) for row in rows]
        return [record for record in records if record.run in wanted]

    async def begun(
        self,
        parent: TenantName | PipelineName,
        *,
        states: frozenset[str],
        below: int,
        limit: int,
    ) -> list[Begun]:
        of = "" if isinstance(parent, TenantName) else " AND e.pipeline_id = @pipeline"
        stated = (
            f" JOIN {self._runs} r ON r.tenant_id = e.tenant_id AND r.run_id = e.run_id"
            " AND r.state IN UNNEST(@states)"
        )
        rows = await self._query(
            f"SELECT e.pipeline_id, e.run_id, e.position FROM {self._events} e"
            f"{stated if states else ''}"
            f" WHERE e.event_type = 'run.created' AND e.tenant_id = @tenant{of}"
            " AND (@below = 0 OR e.position < @below) ORDER BY e.position DESC LIMIT @count",
            tenant=parent.tenant,
            pipeline="" if isinstance(parent, TenantName) else parent.pipeline,
            states=sorted(states),
            below=below,
            count=limit,
        )
        return [
            Begun(
                position=int(str(row["position"])),
                name=RunName(parent.tenant, str(row["pipeline_id"]), str(row["run_id"])),
            )
            for row in rows
        ]

    async def _query(self, statement: str, **parameters: object) -> list[Row]:
        used = {name: value for name, value in parameters.items() if f"@{name}" in statement}
        return await asyncio.to_thread(jobs.query, self._bq, statement, used, timeout=SECONDS)


def _fact(row: Row) -> Fact:
    return Fact(
        kind=row["kind"],  # type: ignore[arg-type]
        name=str(row["scope_key"]),
        content=str(row["content_hash"] or ""),
        snapshot=int(str(row["snapshot"])),
        run=str(row["run_id"]),
        position=int(str(row["position"])),
    )

"""Writes rows of projections: a MERGE a batch, and one by one where BigQuery refuses the batch."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.bigquery.failures import QueryRejected, WarehouseForbidden, WarehouseRejected
from libs.bigquery.ids import TableId
from libs.common.names import RunName
from libs.metadata.tables import DATASET, MetadataTable
from services.orchestrator.projections.statements import Row, batches, entry, merge, parameters

log = structlog.get_logger()

SECONDS: Final = 60.0

REFUSED: Final = (QueryRejected, WarehouseRejected)
"""What another try of the same statement ends with again."""


class BigQueryRows:
    """Writes rows of metadata tables, each of which is about a run."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bq = bigquery

    async def merge(
        self, table: MetadataTable, key: Sequence[str], rows: Iterable[tuple[RunName, Row]]
    ) -> set[RunName]:
        """Write rows by `key`, a higher position over a lower one; return the runs of rows that are refused.

        A row that BigQuery refuses is logged and keeps no other from being written. Raises
        ServiceError where the whole call may be repeated, or a right is missing.
        """
        runs = {entry(row, table): (run, [row[name] for name in key]) for run, row in rows}
        refused = set[RunName]()
        for part in batches(list(runs)):
            if await self._refusal(table, key, part):
                refused |= await self._one_by_one(table, key, {row: runs[row] for row in part})
        return refused

    async def _one_by_one(
        self,
        table: MetadataTable,
        key: Sequence[str],
        runs: Mapping[str, tuple[RunName, Sequence[object]]],
    ) -> set[RunName]:
        refused = set[RunName]()
        for row, (run, named) in runs.items():
            if cause := await self._refusal(table, key, [row]):
                log.warning("projection.refused", table=table.name, row=named, cause=cause)
                refused.add(run)
        return refused

    async def _refusal(self, table: MetadataTable, key: Sequence[str], rows: Sequence[str]) -> str:
        """Write rows in one statement; return why BigQuery refuses it, empty if it does not."""
        sql = TableId(self._bq.connection.project, DATASET, table.name).sql
        statement, told = merge(sql, table, key), parameters(rows)
        try:
            await asyncio.to_thread(jobs.query, self._bq, statement, told, timeout=SECONDS)
        except WarehouseForbidden:
            raise
        except REFUSED as error:
            return str(error)
        return ""

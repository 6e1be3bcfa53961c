"""The metadata tables in BigQuery, as `convergence admin init` makes them."""

import asyncio
from collections.abc import Sequence

from libs.bigquery import datasets, tables
from libs.bigquery.client import BigQuery
from libs.bigquery.columns import Column
from libs.bigquery.ids import DatasetId
from libs.common.lineage import PlatformColumn
from libs.metadata.tables import DATASET, MetadataTable


class BigQueryMetadata:
    """Dataset `metadata` of the connection's project, in its location."""

    def __init__(self, bq: BigQuery) -> None:
        self._bq = bq
        self._dataset = DatasetId(bq.connection.project, DATASET)
        self._dataset_there = False

    async def ensure(self, table: MetadataTable) -> tuple[bool, Sequence[PlatformColumn]]:
        if not self._dataset_there:
            await asyncio.to_thread(datasets.ensure_dataset, self._bq, self._dataset)
            self._dataset_there = True
        ensured = await asyncio.to_thread(
            tables.ensure_table,
            self._bq,
            self._dataset.table(table.name),
            _columns(table.columns),
            partition_by=table.partition_by or "",
            cluster_by=table.cluster_by,
        )
        found = [PlatformColumn(c.name, c.type, c.mode) for c in ensured.columns]
        return ensured.created, found

    async def add(self, table: MetadataTable, columns: Sequence[PlatformColumn]) -> None:
        await asyncio.to_thread(
            tables.add_columns, self._bq, self._dataset.table(table.name), _columns(columns)
        )


def _columns(columns: Sequence[PlatformColumn]) -> list[Column]:
    return [Column(column.name, column.type, column.mode) for column in columns]

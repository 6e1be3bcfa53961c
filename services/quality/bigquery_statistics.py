"""Table statistics from BigQuery."""

import asyncio
from collections.abc import Sequence

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.bigquery.ids import TableId
from services.quality.checks import TableCheck
from services.quality.statistics import Statistics, statement

SECONDS = 280.0


class BigQueryStatistics:
    """One statement a table."""

    def __init__(self, bigquery: BigQuery) -> None:
        self._bq = bigquery

    async def read(
        self, table: str, checks: Sequence[TableCheck], *, maximum_bytes_billed: int
    ) -> Statistics:
        (row,) = await asyncio.to_thread(
            jobs.query,
            self._bq,
            statement(TableId.parse(table).sql, checks),
            timeout=SECONDS,
            maximum_bytes_billed=maximum_bytes_billed or None,
        )
        return Statistics(row_count=int(str(row["row_count"])), values=row)

"""Table statistics from BigQuery."""

import asyncio
from collections.abc import Mapping, Sequence

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery
from libs.bigquery.ids import TableId
from libs.common.errors import NotFound
from services.quality.checks import TableCheck
from services.quality.statistics import Statistics, TableMissing, statement

SECONDS = 280.0
_NO_LABELS: Mapping[str, str] = {}


class BigQueryStatistics:
    """One statement a table. `seconds` is how long it may take, BigQuery's absences included."""

    def __init__(self, bigquery: BigQuery, *, seconds: float = SECONDS) -> None:
        self._bq = bigquery
        self._seconds = seconds

    async def read(
        self,
        table: str,
        checks: Sequence[TableCheck],
        *,
        maximum_bytes_billed: int = 0,
        labels: Mapping[str, str] = _NO_LABELS,
    ) -> Statistics:
        try:
            (row,) = await asyncio.to_thread(
                jobs.query,
                self._bq,
                statement(TableId.parse(table).sql, checks),
                timeout=self._seconds,
                labels=labels,
                maximum_bytes_billed=maximum_bytes_billed or None,
            )
        except NotFound as error:
            raise TableMissing(table) from error
        return Statistics(row_count=int(str(row["row_count"])), values=row)

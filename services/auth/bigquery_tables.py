"""How both stores read and write their tables in BigQuery."""

import asyncio
import uuid
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import structlog
from google.cloud import bigquery

from libs.bigquery import jobs
from libs.bigquery.client import BigQuery, rest_retry
from libs.bigquery.failures import TableNotFound, calling
from libs.bigquery.parameters import Typed
from libs.bigquery.tables import TableId
from libs.common.lineage import PlatformColumn
from libs.metadata.tables import DATASET, MetadataTable
from services.auth.rows import Row
from services.auth.signing_keys import NotInitialized

READ_SECONDS: Final = 5.0
WRITE_SECONDS: Final = 20.0
LABELS: Final = {"service": "auth"}

T = TypeVar("T")
log = structlog.get_logger(__name__)


class BigQueryTable:
    """One metadata table. Calls block in threads and end within seconds."""

    def __init__(
        self, bq: BigQuery, table: MetadataTable, *, read_seconds: float = READ_SECONDS
    ) -> None:
        self._bq = bq
        self._read_seconds = read_seconds
        self._table = TableId(bq.connection.project, DATASET, table.name)
        self._columns = table.columns

    @property
    def sql(self) -> str:
        """The table's quoted name."""
        return self._table.sql

    async def read(self, parse: Callable[[Row], T]) -> list[T]:
        """Return all rows; one that `parse` refuses by ValueError is logged and left out.

        Raises:
            NotInitialized: there is no such table.
            Unavailable: BigQuery does not answer.
        """
        try:
            rows = await asyncio.to_thread(self._list)
        except TableNotFound as error:
            raise NotInitialized(f"table {self._table}") from error
        return [value for row in rows for value in self._parsed(parse, row)]

    def _list(self) -> list[Row]:
        """List rows, which costs nothing, where a query would be billed at every refresh.

        A table that has not got the newest columns yet, which are the last, is read without them.
        """
        columns = [column.name for column in self._columns]
        name = str(self._table)
        with calling(self._bq.endpoint, "bigquery.list_rows", f"read table {name}", table=name):
            table = bigquery.Table(name, schema=[_field(column) for column in self._columns])
            found = self._bq.rest.list_rows(
                table, retry=rest_retry(self._read_seconds), timeout=self._read_seconds
            )
            return [dict(zip(columns, row.values(), strict=False)) for row in found]

    def _parsed(self, parse: Callable[[Row], T], row: Row) -> list[T]:
        try:
            return [parse(row)]
        except ValueError as error:
            log.warning("row.unreadable", table=str(self._table), error=str(error))
            return []

    async def run(self, statement: str, parameters: Mapping[str, object]) -> int:
        """Run one statement; return how many rows it changed.

        Raises:
            NotInitialized: there is no such table.
            Unavailable: BigQuery does not answer; the statement may have been run.
        """
        typed = {column.name: column for column in self._columns}
        given = {name: _typed(typed.get(name), value) for name, value in parameters.items()}
        try:
            done = await asyncio.to_thread(
                jobs.run_once,
                self._bq,
                statement,
                job_id=f"auth_{uuid.uuid4().hex}",
                parameters=given,
                labels=LABELS,
                timeout=WRITE_SECONDS,
            )
        except TableNotFound as error:
            raise NotInitialized(f"table {self._table}") from error
        return done.affected_rows or 0

    def insert_clause(self) -> str:
        """Return `(columns) VALUES (parameters)` for all columns."""
        names = ", ".join(column.name for column in self._columns)
        values = ", ".join(f"@{column.name}" for column in self._columns)
        return f"({names}) VALUES ({values})"


def _field(column: PlatformColumn) -> bigquery.SchemaField:
    return bigquery.SchemaField(column.name, column.type, mode=column.mode)


def _typed(column: PlatformColumn | None, value: object) -> object:
    return value if column is None else Typed(column.type, value)

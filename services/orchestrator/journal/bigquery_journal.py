"""The journal in BigQuery: one COMMITTED stream an epoch on `metadata.run_events`."""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import pyarrow as pa

from libs.bigquery import jobs, streams, tables
from libs.bigquery.client import BigQuery
from libs.bigquery.columns import Column, arrow_schema
from libs.bigquery.failures import OffsetOutOfRange, StreamSealed, StreamsGone, TableNotFound
from libs.bigquery.ids import TableId
from libs.common.errors import FailedPrecondition, Unavailable
from libs.metadata.tables import DATASET, RUN_EVENTS
from services.orchestrator.elections.elections import Term
from services.orchestrator.journal.journal import JournalSealed, RecordTooLarge
from services.orchestrator.journal.rows import payload_of, records_of, row_of
from services.orchestrator.runs.records import Record

LAG_SECONDS: Final = 30.0
"""How long reads may lag behind what finalize said was written."""

LIFETIME: Final = dt.timedelta(hours=96)
"""How long after its last record a stream has ended for sure: BigQuery says three days."""

LARGEST_RECORD_BYTES: Final = 6 * 1024 * 1024
"""BigQuery refuses requests of more than 10 MB."""

FRAME_BYTES: Final = 1024
"""More than the columns beside the payload take."""

T = TypeVar("T")


class NotInitialized(FailedPrecondition):
    """The metadata tables are not there yet."""

    reason = "NOT_INITIALIZED"

    def __init__(self) -> None:
        super().__init__(
            "the platform is not initialised; run `convergence admin init`",
            command="convergence admin init",
        )


class BigQueryJournal:
    """One epoch's way into `metadata.run_events`.

    Args:
        bigquery: Where.
        streams_end_with_server: True where streams end with BigQuery's process (the embedded one),
            so that a stream that is gone is sealed.
    """

    def __init__(self, bigquery: BigQuery, *, streams_end_with_server: bool) -> None:
        self._bq = bigquery
        self._ends = streams_end_with_server
        self._table = TableId(bigquery.connection.project, DATASET, RUN_EVENTS.name)
        self._schema = arrow_schema(Column(c.name, c.type, c.mode) for c in RUN_EVENTS.columns)
        self._stream: streams.CommittedStream | None = None
        self._offset = 0

    async def open(self, term: Term) -> tuple[list[Record], str]:
        try:
            await self._do(tables.get_columns, self._table)
        except TableNotFound as error:
            raise NotInitialized from error
        written = await self._seal(term)
        records = await self._read_all(term.predecessor_epoch, written)
        name = await self._do(streams.create_committed, self._table)
        self._stream = streams.CommittedStream(self._bq, name, self._schema)
        self._offset = 0
        return records, name

    async def _seal(self, term: Term) -> int:
        """Finalize the predecessor's stream; return how many rows it has, 0 if nobody knows."""
        if not term.predecessor:
            return 0
        try:
            return await self._do(streams.finalize, term.predecessor)
        except StreamsGone as error:
            if self._ends or await self._silent(term.predecessor_epoch):
                return 0
            raise Unavailable(
                f"journal stream {term.predecessor} of epoch {term.predecessor_epoch} is gone before "
                "its lifetime; not leading",
                reason="STREAM_GONE",
                stream=term.predecessor,
            ) from error

    async def _silent(self, epoch: int) -> bool:
        """Return whether an epoch wrote last so long ago that its stream may be gone.

        By BigQuery's clock: a leader writes at least every KEPT_FOR, or can write nothing any more.
        """
        hours = int(LIFETIME / dt.timedelta(hours=1))
        statement = (
            "SELECT COUNT(*) AS written, COUNTIF(event_time > TIMESTAMP_SUB(CURRENT_TIMESTAMP(),"
            f" INTERVAL {hours} HOUR)) AS late FROM {self._table.sql} WHERE epoch = {epoch}"
        )
        (row,) = await self._do(jobs.query, statement)
        return bool(row["written"]) and not row["late"]

    async def _read_all(self, epoch: int, written: int) -> list[Record]:
        """Read the journal until the sealed epoch's records are as many as finalize said."""
        waited = 0.0
        while True:
            rows = await self._rows()
            if sum(row["epoch"] == epoch for row in rows) >= written:
                return await asyncio.to_thread(records_of, rows)
            if waited >= LAG_SECONDS:
                raise Unavailable(
                    f"reads of the journal lag behind epoch {epoch} by more than {LAG_SECONDS} s",
                    reason="WAREHOUSE_UNAVAILABLE",
                )
            await asyncio.sleep(0.5)
            waited += 0.5

    async def _rows(self) -> list[dict[str, object]]:
        names = ", ".join(name for name in self._schema.names if name != "event_date")
        statement = f"SELECT {names} FROM {self._table.sql} ORDER BY position"
        return await self._do(jobs.query, statement, timeout=120.0)

    def size_of(self, record: Record) -> int:
        size = len(payload_of(record.detail).encode())
        if size > LARGEST_RECORD_BYTES:
            raise RecordTooLarge(record.detail.type, size, LARGEST_RECORD_BYTES)
        return size + FRAME_BYTES

    async def append(self, records: Sequence[Record]) -> None:
        assert self._stream is not None, "open comes first"
        rows = [row_of(record) for record in records]
        batch = pa.RecordBatch.from_pylist(rows, schema=self._schema)
        try:
            self._offset = await asyncio.to_thread(self._stream.append_at, self._offset, batch)
        except (StreamSealed, StreamsGone, OffsetOutOfRange) as error:
            raise JournalSealed(
                "the journal's stream has ended; another orchestrator is active or BigQuery was "
                "restarted: this one stops and is started again",
                stream=self._stream.stream,
            ) from error

    async def close(self) -> None:
        if self._stream is not None:
            await asyncio.to_thread(self._stream.close)

    async def _do(self, call: Callable[..., T], *args: object, **kwargs: object) -> T:
        return await asyncio.to_thread(call, self._bq, *args, **kwargs)

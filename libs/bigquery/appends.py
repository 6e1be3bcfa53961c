"""Appending Arrow rows: in bulk to a PENDING stream, or record by record to a COMMITTED one."""

import threading
from types import TracebackType
from typing import Final, Self

import pyarrow as pa

from libs.bigquery.append_line import AppendLine, Request
from libs.bigquery.batches import REQUEST_BYTES, REQUEST_BYTES_CAP, Gathering, conform
from libs.bigquery.client import BigQuery
from libs.bigquery.tracing import span

MAX_IN_FLIGHT: Final = 3
BULK_TIMEOUT: Final = 60.0
RECORD_TIMEOUT: Final = 10.0


class Appender:
    """Appends all rows of one stream, from its beginning, over one connection.

    Rows are joined and cut into requests of about `request_bytes` serialized bytes. At most
    `max_in_flight` requests are unanswered: `append` blocks then, so memory stays bounded by that
    many requests and one being filled. A cut connection is mended and unanswered requests are sent
    again at their offsets. After any failure the stream cannot be continued: take a new one.
    One thread at a time.
    """

    def __init__(
        self,
        bq: BigQuery,
        stream: str,
        schema: pa.Schema,
        *,
        request_bytes: int = REQUEST_BYTES,
        max_in_flight: int = MAX_IN_FLIGHT,
        timeout: float = BULK_TIMEOUT,
        cancel: threading.Event | None = None,
    ) -> None:
        """Prepare to append; nothing is opened yet.

        Args:
            bq: Where.
            stream: A new PENDING stream's name.
            schema: Columns as `arrow_schema` of the table's columns gives them.
            request_bytes: What a request aims at; beyond 8 MiB it is 8 MiB.
            max_in_flight: Unanswered requests allowed.
            timeout: Seconds without any answer after which calls fail with WarehouseUnavailable.
            cancel: When set, blocked and later calls raise AppendCancelled.
        """
        self._line = AppendLine(bq, stream, schema, timeout=timeout)
        self._schema = schema
        self._gathering = Gathering(schema, target=request_bytes, cap=REQUEST_BYTES_CAP)
        self._max_in_flight = max_in_flight
        self._cancel = cancel
        self._sent: list[Request] = []
        self._offset = 0
        self._acknowledged = 0

    @property
    def acknowledged_rows(self) -> int:
        """How many rows BigQuery has answered for, as far as this thread has looked."""
        return self._acknowledged

    def append(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Take `rows`, in order; they are sent when a request is full, or by `close`.

        Raises:
            ValueError: The rows have other columns than the schema, or values that do not fit it.
            RowTooLarge, AppendRejected, StreamsGone, StreamSealed, WarehouseUnavailable
        """
        for batch in self._gathering.add(conform(rows, self._schema)):
            self._send(batch)

    def close(self) -> int:
        """Send what is left, wait for all answers, and return how many rows the stream has."""
        try:
            for batch in self._gathering.rest():
                self._send(batch)
            with span("bigquery.append.wait", stream=self._line.stream):
                for request in self._sent:
                    self._line.wait(request, cancel=self._cancel)
            self._settle()
        finally:
            self._line.close()
        return self._acknowledged

    def abort(self) -> None:
        """Drop the connection and what was not sent. The stream is left to expire."""
        self._line.close()

    def __enter__(self) -> Self:
        """Return itself; leaving the block without `close` aborts."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Abort; after `close` that changes nothing."""
        self.abort()

    def _send(self, batch: pa.RecordBatch) -> None:
        self._settle()
        request = Request(offset=self._offset, row_count=batch.num_rows, data=batch.serialize())
        with span("bigquery.append", stream=self._line.stream, rows=batch.num_rows):
            self._line.send(request, max_in_flight=self._max_in_flight, cancel=self._cancel)
        self._sent.append(request)
        self._offset += batch.num_rows

    def _settle(self) -> None:
        """Count answered requests; raise the first failure."""
        for request in self._sent:
            if request.failure is not None:
                raise request.failure
        self._acknowledged += sum(request.row_count for request in self._sent if request.done)
        self._sent = [request for request in self._sent if not request.done]


class CommittedStream:
    """Appends to a COMMITTED stream that has no other writer, over one lasting connection.

    For a journal: each append is acknowledged before the next is sent, at an offset that the
    caller keeps. Any thread may call; calls take turns. A cut connection is mended.
    """

    def __init__(
        self, bq: BigQuery, stream: str, schema: pa.Schema, *, timeout: float = RECORD_TIMEOUT
    ) -> None:
        """Prepare to append rows of `schema` to `stream`; nothing is opened yet.

        `timeout`: seconds without an answer after which an append fails, its outcome unknown.
        """
        self._line = AppendLine(bq, stream, schema, timeout=timeout)
        self._schema = schema
        self._turn = threading.Lock()

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self._line.stream

    def append_at(self, offset: int, rows: pa.RecordBatch | pa.Table) -> int:
        """Append `rows` at `offset`, and return the offset after them once they are durable.

        Repeating a call whose outcome is unknown, with the same rows and offset, is safe: rows
        already there count as appended.

        Raises:
            StreamSealed: A successor has finalized the stream: stop writing.
            OffsetOutOfRange: Rows before `offset` are missing.
            StreamsGone: The stream has ended.
            AppendRejected: BigQuery refused the rows; the stream is as before.
            WarehouseUnavailable: Outcome unknown: repeat.
        """
        table = conform(rows, self._schema).combine_chunks()
        batches = table.to_batches()
        if not batches:
            return offset
        data = batches[0].serialize()
        request = Request(offset=offset, row_count=table.num_rows, data=data)
        with self._turn, span("bigquery.append", stream=self.stream, rows=table.num_rows):
            self._line.send(request, max_in_flight=1)
            self._line.wait(request)
        return offset + int(table.num_rows)

    def close(self) -> None:
        """End the connection; the stream stays as it is."""
        self._line.close()

    def __enter__(self) -> Self:
        """Return itself; leaving the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

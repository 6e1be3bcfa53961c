"""Streams of BigQuery's Storage Write API: PENDING, one connection each."""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Sequence

import pyarrow as pa

from libs.bigquery import streams
from libs.bigquery.appends import BULK_TIMEOUT
from libs.bigquery.client import BigQuery
from libs.bigquery.columns import Column, arrow_schema
from libs.bigquery.failures import AppendCancelled
from libs.bigquery.ids import TableId
from libs.common.lineage import PlatformColumn
from services.ingest.failures import Cancelled


class BigQuerySink:
    """Opens PENDING streams; commits none.

    Args:
        bigquery: Where.
        request_bytes: What an append aims at.
        patience_seconds: How long BigQuery may be silent before an append fails.
        observe: Told the seconds that a worker was held up by each append, in the thread that appends.
    """

    def __init__(
        self,
        bigquery: BigQuery,
        *,
        request_bytes: int,
        patience_seconds: float = BULK_TIMEOUT,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._bq = bigquery
        self._observe = observe
        self._request_bytes = request_bytes
        self._patience = patience_seconds

    def open(
        self, table: str, columns: Sequence[PlatformColumn], cancelled: threading.Event
    ) -> "BigQueryStream":
        schema = arrow_schema(Column(c.name, c.type, c.mode) for c in columns)
        name = streams.create_pending(self._bq, TableId.parse(table))
        appender = streams.Appender(
            self._bq,
            name,
            schema,
            request_bytes=self._request_bytes,
            timeout=self._patience,
            cancel=cancelled,
        )
        return BigQueryStream(self._bq, name, appender, self._observe)


class BigQueryStream:
    """One PENDING stream."""

    def __init__(
        self,
        bigquery: BigQuery,
        name: str,
        appender: streams.Appender,
        observe: Callable[[float], None],
    ) -> None:
        self._bq = bigquery
        self._observe = observe
        self._name = name
        self._appender = appender

    def append(self, rows: pa.Table) -> None:
        began = time.monotonic()
        with _cancelling():
            self._appender.append(rows)
        self._observe(time.monotonic() - began)

    def finish(self) -> tuple[str, int]:
        with _cancelling():
            self._appender.close()
        return self._name, streams.finalize(self._bq, self._name)

    def abort(self) -> None:
        self._appender.abort()


@contextlib.contextmanager
def _cancelling() -> Generator[None]:
    try:
        yield
    except AppendCancelled as error:
        raise Cancelled from error

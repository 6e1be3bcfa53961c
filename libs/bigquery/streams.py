"""Storage Write streams: opening, sealing and committing them. Appending is in `appends.py`."""

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Final, cast

from google.api_core import exceptions
from google.cloud.bigquery_storage_v1 import types

from libs.bigquery.appends import Appender, CommittedStream
from libs.bigquery.client import BigQuery, write_retry
from libs.bigquery.failures import StreamsGone, WarehouseRejected, calling
from libs.bigquery.ids import TableId

__all__ = [
    "AlreadyCommitted",
    "Appender",
    "Committed",
    "CommittedStream",
    "commit",
    "create_committed",
    "create_pending",
    "finalize",
]

TIMEOUT: Final = 30.0
"""Seconds that a call about a stream may take unless told otherwise."""

COMMIT_TIMEOUT: Final = 300.0
"""Seconds for a commit; the embedded engine moves rows then."""

STREAMS_PER_COMMIT: Final = 10_000

_DONE_BEFORE: Final = frozenset(
    {
        types.StorageError.StorageErrorCode.STREAM_ALREADY_COMMITTED,
        types.StorageError.StorageErrorCode.INVALID_STREAM_STATE,
    }
)
_GONE: Final = types.StorageError.StorageErrorCode.STREAM_NOT_FOUND


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """All rows of all streams became visible at `commit_time`, at once."""

    commit_time: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AlreadyCommitted:
    """Nothing changed, because `streams` were committed before or are not finalized.

    Success if and only if the table holds the streams' rows: look.
    """

    streams: tuple[str, ...]


def create_pending(bq: BigQuery, table: TableId, *, timeout: float = TIMEOUT) -> str:
    """Open a stream whose rows stay invisible until `commit`, and return its name.

    Raises:
        TableNotFound: No such table.
    """
    return _create(bq, table, types.WriteStream.Type.PENDING, timeout)


def create_committed(bq: BigQuery, table: TableId, *, timeout: float = TIMEOUT) -> str:
    """Open a stream whose rows are visible when acknowledged, and return its name."""
    return _create(bq, table, types.WriteStream.Type.COMMITTED, timeout)


def finalize(bq: BigQuery, stream: str, *, timeout: float = TIMEOUT) -> int:
    """Seal `stream` and return how many rows it has; safe to repeat until it is committed.

    Raises:
        StreamsGone: No such stream any more.
    """
    with calling(bq.storage_endpoint, "bigquery.finalize", f"finalize stream {stream}"):
        try:
            response = bq.write.finalize_write_stream(
                name=stream, retry=write_retry(timeout), timeout=timeout
            )
        except exceptions.NotFound as error:
            raise StreamsGone(f"stream {stream} is gone", (stream,)) from error
    return response.row_count


def commit(
    bq: BigQuery, table: TableId, streams: Sequence[str], *, timeout: float = COMMIT_TIMEOUT
) -> Committed | AlreadyCommitted:
    """Make the rows of all `streams` of `table` visible at once, or none.

    Args:
        bq: Where.
        table: The table that all streams were opened on.
        streams: Names of finalized PENDING streams, 1 to 10,000.
        timeout: Seconds. After WarehouseUnavailable nobody knows whether they were committed:
            repeat, and treat both outcomes and StreamsGone as questions to the table's rows.

    Raises:
        StreamsGone: Some ended before; nothing was committed by this call. Streams committed long
            ago may be gone too.
        WarehouseRejected: BigQuery refused the rows or the streams.
    """
    if not 1 <= len(streams) <= STREAMS_PER_COMMIT:
        raise ValueError(f"{len(streams)} streams; a commit takes 1 to {STREAMS_PER_COMMIT}")
    request = types.BatchCommitWriteStreamsRequest(parent=table.path, write_streams=streams)
    what = f"commit {len(streams)} streams into {table}"
    with calling(bq.storage_endpoint, "bigquery.commit", what, table=str(table)):
        response = bq.write.batch_commit_write_streams(
            request, retry=write_retry(timeout), timeout=timeout
        )
        if not response.stream_errors:
            return Committed(commit_time=_utc(response.commit_time))
        return _refused(table, response.stream_errors)


def _refused(table: TableId, failures: Sequence[types.StorageError]) -> AlreadyCommitted:
    codes = {failure.code for failure in failures}
    named = tuple(failure.entity for failure in failures)
    if _GONE in codes:
        gone = tuple(failure.entity for failure in failures if failure.code == _GONE)
        raise StreamsGone(f"{len(gone)} streams of {table} are gone", gone)
    if codes <= _DONE_BEFORE:
        return AlreadyCommitted(streams=named)
    names = ", ".join(sorted(code.name for code in codes))
    raise WarehouseRejected(f"BigQuery refused to commit streams into {table}: {names}")


def _create(bq: BigQuery, table: TableId, kind: int, timeout: float) -> str:
    what = f"open a stream on {table}"
    with calling(bq.storage_endpoint, "bigquery.create_stream", what, table=str(table)):
        created = bq.write.create_write_stream(
            parent=table.path,
            write_stream=types.WriteStream(type_=kind),
            retry=write_retry(timeout),
            timeout=timeout,
        )
    return created.name


def _utc(time: object) -> dt.datetime:
    """Return the wire's time, which comes as a datetime of the client's own class, as a plain one."""
    seconds = cast("dt.datetime", time).timestamp()
    return dt.datetime.fromtimestamp(seconds, dt.UTC)

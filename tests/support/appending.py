"""Writes Arrow rows through the Storage Write API, one request at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
from google.api_core.retry import Retry, if_exception_type
from google.cloud.bigquery_storage_v1 import BigQueryWriteClient, types

CALL_SECONDS = 20
ONCE: Final = Retry(predicate=if_exception_type())
"""Asks no second time: what the engine answers first is what a test looks at."""
PENDING = types.WriteStream.Type.PENDING
COMMITTED = types.WriteStream.Type.COMMITTED


def append_request(
    stream: str, rows: pa.RecordBatch, offset: int | None = None
) -> types.AppendRowsRequest:
    """Return a request that stands alone: it names its stream and carries its schema."""
    data = types.AppendRowsRequest.ArrowData(
        writer_schema=types.ArrowSchema(serialized_schema=rows.schema.serialize().to_pybytes()),
        rows=types.ArrowRecordBatch(serialized_record_batch=rows.serialize().to_pybytes()),
    )
    return types.AppendRowsRequest(write_stream=stream, arrow_rows=data, offset=offset)


def append(
    writer: BigQueryWriteClient,
    stream: str,
    *batches: pa.RecordBatch,
    offset: int | None = None,
    seconds: float = CALL_SECONDS,
) -> list[types.AppendRowsResponse]:
    """Append each batch on one connection; return the responses, errors among them.

    `offset` is sent with the first batch, and counted on from there.
    """
    requests = []
    for rows in batches:
        requests.append(append_request(stream, rows, offset))
        offset = None if offset is None else offset + rows.num_rows
    return list(writer.append_rows(iter(requests), retry=ONCE, timeout=seconds))


def open_stream(
    writer: BigQueryWriteClient, table: str, kind: int, *, seconds: float = CALL_SECONDS
) -> str:
    """Return the name of a new stream on `table` (project.dataset.table)."""
    stream = types.WriteStream(type_=kind)
    return writer.create_write_stream(
        parent=table_path(table), write_stream=stream, retry=ONCE, timeout=seconds
    ).name


def commit(
    writer: BigQueryWriteClient, table: str, streams: Sequence[str]
) -> types.BatchCommitWriteStreamsResponse:
    """Commit finalized PENDING streams in one call."""
    request = types.BatchCommitWriteStreamsRequest(
        parent=table_path(table), write_streams=list(streams)
    )
    return writer.batch_commit_write_streams(request, retry=ONCE, timeout=CALL_SECONDS)


def table_path(table: str) -> str:
    """Return `project.dataset.table` as the Write API names it."""
    project, dataset, name = table.split(".")
    return f"projects/{project}/datasets/{dataset}/tables/{name}"

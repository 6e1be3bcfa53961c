"""AppendRows requests as the bytes of their message: rows are copied into them once.

Built from message objects, the same request copies its rows at each level, and again to serialize.
"""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias, cast

import pyarrow as pa
from google.cloud.bigquery_storage_v1 import types
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import (
    BigQueryWriteGrpcTransport,
)

from libs.bigquery.client import BigQuery

Rows: TypeAlias = bytes | memoryview | pa.Buffer

_METHOD: Final = "/google.cloud.bigquery.storage.v1.BigQueryWrite/AppendRows"
_ARROW_ROWS: Final = types.AppendRowsRequest.pb().DESCRIPTOR.fields_by_name["arrow_rows"].number
_ROWS: Final = types.AppendRowsRequest.ArrowData.pb().DESCRIPTOR.fields_by_name["rows"].number
_BATCH: Final = (
    types.ArrowRecordBatch.pb().DESCRIPTOR.fields_by_name["serialized_record_batch"].number
)


def encoded(stream: str, offset: int, rows: Rows, *, schema: bytes | None = None) -> bytes:
    """Return an AppendRowsRequest, which ends with the rows.

    Args:
        stream: Its name.
        offset: Where the first row goes.
        rows: One serialized Arrow batch.
        schema: Serialized Arrow schema; the first request of a connection says it.
    """
    head = types.AppendRowsRequest(write_stream=stream, offset=offset)
    batch = _opening(_BATCH, len(rows))
    found = _opening(_ROWS, len(batch) + len(rows)) + batch
    if schema is not None:
        said = types.AppendRowsRequest.ArrowData(
            writer_schema=types.ArrowSchema(serialized_schema=schema)
        )
        found = types.AppendRowsRequest.ArrowData.serialize(said) + found
    data = _opening(_ARROW_ROWS, len(found) + len(rows)) + found
    return b"".join((types.AppendRowsRequest.serialize(head), data, rows))


def _opening(field: int, length: int) -> bytes:
    """Return what stands before a field of so many bytes: its number and wire type, its length."""
    return _varint(field << 3 | 2) + _varint(length)


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def open_call(bq: BigQuery, requests: Iterator[bytes], stream: str) -> Iterator[object]:
    """Open AppendRows with requests that are `encoded`, and return the call."""
    transport = cast("BigQueryWriteGrpcTransport", bq.write.transport)
    call: Callable[..., Iterator[object]] = transport.grpc_channel.stream_stream(
        _METHOD,
        request_serializer=None,
        response_deserializer=types.AppendRowsResponse.deserialize,
    )
    return call(requests, metadata=(("x-goog-request-params", f"write_stream={stream}"),))

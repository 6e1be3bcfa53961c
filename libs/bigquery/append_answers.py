"""What BigQuery's answers to an append mean: done, try again, or which kind of failure."""

from typing import Final

import grpc
from google.cloud.bigquery_storage_v1 import types
from google.rpc import code_pb2, status_pb2

from libs.bigquery.failures import (
    AppendRejected,
    OffsetOutOfRange,
    StreamSealed,
    StreamsGone,
    WarehouseForbidden,
    WarehouseRejected,
)
from libs.common.errors import ServiceError

_TRANSIENT: Final = frozenset(
    {
        code_pb2.CANCELLED,
        code_pb2.UNKNOWN,
        code_pb2.DEADLINE_EXCEEDED,
        code_pb2.RESOURCE_EXHAUSTED,
        code_pb2.ABORTED,
        code_pb2.INTERNAL,
        code_pb2.UNAVAILABLE,
    }
)
_STORAGE_ERROR: Final = types.StorageError.pb()
_FINALIZED: Final = types.StorageError.StorageErrorCode.STREAM_FINALIZED


def written(response: types.AppendRowsResponse) -> bool:
    """Whether the request's rows are in the stream, by this request or by an earlier copy of it."""
    return response.error.code in {code_pb2.OK, code_pb2.ALREADY_EXISTS}


def transient(code: int) -> bool:
    """Whether the same request may succeed on a new connection."""
    return code in _TRANSIENT


def rpc_code(error: grpc.RpcError) -> int:
    """Return the number of the code that ended a call."""
    code = error.code() if isinstance(error, grpc.Call) else grpc.StatusCode.UNKNOWN
    return int(code.value[0])


def refusal(code: int, stream: str, *, sealed: bool = False, text: str = "") -> ServiceError:
    """Return the kind of failure that `code` means for an append to `stream`.

    `text` is BigQuery's sentence about rows, which may be shown to whoever sent them.
    """
    table = stream.partition("/streams/")[0]
    if sealed or code == code_pb2.FAILED_PRECONDITION:
        return StreamSealed(f"stream {stream} is finalized: nothing can be appended", stream=stream)
    match code:
        case code_pb2.NOT_FOUND:
            return StreamsGone(f"stream {stream} is gone", (stream,))
        case code_pb2.INVALID_ARGUMENT:
            why = text.strip().splitlines()[0][:300] if text.strip() else "no reason given"
            return AppendRejected(f"BigQuery refused rows: {why}", table=table)
        case code_pb2.OUT_OF_RANGE:
            return OffsetOutOfRange(f"the offset lies beyond the end of stream {stream}")
        case code_pb2.PERMISSION_DENIED | code_pb2.UNAUTHENTICATED:
            return WarehouseForbidden(f"this service account may not append to {table}")
    name = code_pb2.Code.Name(code_pb2.Code.ValueType(code))
    return WarehouseRejected(f"BigQuery refused to append to {table} ({name})")


def response_refusal(response: types.AppendRowsResponse, stream: str) -> ServiceError:
    """Return why the request that `response` answers was not written."""
    error: status_pb2.Status = response.error
    sealed = any(_storage_code(detail) == _FINALIZED for detail in error.details)
    return refusal(error.code, stream, sealed=sealed, text=error.message)


def _storage_code(detail: object) -> int:
    unpack = getattr(detail, "Unpack", None)
    found = _STORAGE_ERROR()
    return int(found.code) if unpack and unpack(found) else 0

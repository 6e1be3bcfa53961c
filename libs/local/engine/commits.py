"""What a write leaves behind: all of it or nothing, and no copy of the table."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb
import grpc
import pyarrow as pa
from bqemulator.catalog.models import TableMeta
from bqemulator.domain.errors import DomainError, InternalError, ValidationError
from bqemulator.domain.events import TableDataChanged
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.streaming.write_stream import WriteStream, WriteStreamState
from bqemulator.versioning.snapshots import SnapshotManager
from google.cloud.bigquery_storage_v1 import types

from libs.local.engine.turns import Turns

STORING = (duckdb.Error, pa.ArrowException, DomainError, OSError)
"""What storing rows may raise."""


def no_copy_per_write() -> None:
    """Announce a table's change without copying the table; gives up FOR SYSTEM_TIME AS OF."""

    def record_change(self: SnapshotManager, project: str, dataset: str, table: str) -> None:
        self._events.publish(TableDataChanged(project, dataset, table))

    SnapshotManager.record_change = record_change


def atomic_batch_commit() -> None:
    """Commit all streams of one call in one transaction; one that fails leaves them as they were.

    Stock commits stream by stream, so those before a failure are visible and it is forgotten, and
    answers UNKNOWN, whether the rows were wrong or the disk full.
    """
    commit_each = BigQueryWriteHandler._handle_batch_commit_write_streams

    def commit(
        self: BigQueryWriteHandler, request_bytes: bytes, context: grpc.ServicerContext
    ) -> bytes:
        names = types.BatchCommitWriteStreamsRequest.deserialize(request_bytes).write_streams
        found = (self._manager.get(name) for name in dict.fromkeys(names))
        try:
            with _committed(self, [stream for stream in found if stream is not None]):
                return bytes(commit_each(self, request_bytes, context))
        except STORING as error:
            raise refusal(error) from error

    BigQueryWriteHandler._handle_batch_commit_write_streams = commit


def refusal(error: Exception) -> DomainError:
    """Return what a client is told of an exception of STORING: wrong rows, or a failing database."""
    if isinstance(error, (duckdb.OperationalError, duckdb.InternalError, InternalError, OSError)):
        return InternalError(f"the rows were not stored: {error}")
    return ValidationError(f"the rows were not stored: {error}")


@contextlib.contextmanager
def stored_at_once(handler: BigQueryWriteHandler, stream: WriteStream) -> Iterator[None]:
    """Run the block as one transaction of an append; if it raises, all is as before."""
    turns = handler._write_lock
    turn = turns.append(_name(stream)) if isinstance(turns, Turns) else turns
    with turn, _all_or_nothing(handler, [stream]):
        yield


@contextlib.contextmanager
def _committed(handler: BigQueryWriteHandler, streams: Sequence[WriteStream]) -> Iterator[None]:
    """Run the block as one transaction of a commit; if it raises, all is as before."""
    turns, tables = handler._write_lock, {_name(stream) for stream in streams}
    turn = turns.change(tables.__contains__) if isinstance(turns, Turns) else turns
    with turn, _all_or_nothing(handler, streams):
        yield


def _name(stream: WriteStream) -> str:
    return f"{stream.project_id}.{stream.dataset_id}.{stream.table_id}"


@contextlib.contextmanager
def _all_or_nothing(
    handler: BigQueryWriteHandler, streams: Sequence[WriteStream]
) -> Iterator[None]:
    before = [_Kept.of(stream, handler) for stream in streams]
    handler._ctx.engine.execute("BEGIN")
    try:
        yield
        handler._ctx.engine.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            handler._ctx.engine.execute("ROLLBACK")
        for kept in before:
            kept.restore(handler)
        raise


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A stream, and the number of rows that the catalog lists, as they were before a write."""

    stream: WriteStream
    state: WriteStreamState
    next_offset: int
    row_count: int
    buffer: Any
    listed_rows: int

    @classmethod
    def of(cls, stream: WriteStream, handler: BigQueryWriteHandler) -> _Kept:
        listed = _listed(stream, handler)
        return cls(
            stream=stream,
            state=stream.state,
            next_offset=stream.next_offset,
            row_count=stream.row_count,
            buffer=copy.copy(stream.buffer),
            listed_rows=listed.num_rows if listed is not None else 0,
        )

    def restore(self, handler: BigQueryWriteHandler) -> None:
        self.stream.state = self.state
        self.stream.next_offset = self.next_offset
        self.stream.row_count = self.row_count
        self.stream.buffer = self.buffer
        listed = _listed(self.stream, handler)
        if listed is not None and listed.num_rows != self.listed_rows:
            same = listed.model_copy(update={"num_rows": self.listed_rows})
            handler._ctx.catalog.update_table(same)


def _listed(stream: WriteStream, handler: BigQueryWriteHandler) -> TableMeta | None:
    """Return the catalog's entry of the stream's table."""
    place = (stream.project_id, stream.dataset_id, stream.table_id)
    return handler._ctx.catalog.get_table(*place)

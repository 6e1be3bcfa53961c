"""What a write leaves behind: all of a commit or nothing, and no copy of the table."""

from __future__ import annotations

import dataclasses

import grpc
from bqemulator.domain.events import TableDataChanged
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.streaming.write_stream import WriteStream, WriteStreamState
from bqemulator.versioning.snapshots import SnapshotManager
from google.cloud.bigquery_storage_v1 import types


def no_copy_per_write() -> None:
    """Announce a table's change without copying the table; gives up FOR SYSTEM_TIME AS OF."""

    def record_change(self: SnapshotManager, project: str, dataset: str, table: str) -> None:
        self._events.publish(TableDataChanged(project, dataset, table))

    SnapshotManager.record_change = record_change


def atomic_batch_commit() -> None:
    """Commit all streams of one call in one transaction; on an error nothing is written or forgotten.

    Stock commits stream by stream: one that fails leaves those before it committed.
    """
    commit_each = BigQueryWriteHandler._handle_batch_commit_write_streams

    def commit(
        self: BigQueryWriteHandler, request_bytes: bytes, context: grpc.ServicerContext
    ) -> bytes:
        names = types.BatchCommitWriteStreamsRequest.deserialize(request_bytes).write_streams
        found = [self._manager.get(name) for name in dict.fromkeys(names)]
        before = [_Kept.of(stream) for stream in found if stream is not None]
        with self._write_lock:
            self._ctx.engine.execute("BEGIN")
            try:
                response = commit_each(self, request_bytes, context)
                self._ctx.engine.execute("COMMIT")
            except Exception:
                self._ctx.engine.execute("ROLLBACK")
                for kept in before:
                    kept.restore()
                raise
        return response

    BigQueryWriteHandler._handle_batch_commit_write_streams = commit


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A stream as it was before a commit."""

    stream: WriteStream
    state: WriteStreamState
    buffer: tuple[object, ...]

    @classmethod
    def of(cls, stream: WriteStream) -> _Kept:
        return cls(stream=stream, state=stream.state, buffer=tuple(stream.buffer))

    def restore(self) -> None:
        self.stream.state = self.state
        self.stream.buffer[:] = self.buffer



"""Rows of PENDING streams: kept in files, stored by one statement, dropped when nobody commits them."""

from __future__ import annotations

import copy
import threading
from typing import Any

import grpc
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.streaming.strategies import pending
from bqemulator.streaming.write_stream import WriteStream, WriteStreamManager, WriteStreamType
from google.cloud.bigquery_storage_v1 import types

from libs.local.engine.lifetimes import Lifetimes
from libs.local.engine.waiting import Room, Together, WaitingRows


def pending_rows_in_files() -> None:
    """Keep what waits for a commit in files without names, but for a few MiB; store it by one INSERT.

    Stock keeps it in memory, as Arrow: 3 GB for 5 million rows of a usage report.
    """
    initialize = BigQueryWriteHandler.__init__
    commit = BigQueryWriteHandler._handle_batch_commit_write_streams
    store = BigQueryWriteHandler._flush_to_target
    committing = threading.local()
    create = WriteStreamManager.create
    join = pending._concat

    def with_room(self: BigQueryWriteHandler, *args: Any, **named: Any) -> None:
        initialize(self, *args, **named)
        self._manager.room = Room(self._ctx.settings.data_dir)

    def with_waiting_rows(self: WriteStreamManager, *args: Any, **named: Any) -> WriteStream:
        stream = create(self, *args, **named)
        if stream.stream_type is WriteStreamType.PENDING:
            stream.buffer = WaitingRows(self.room)
        return stream

    def concat(buffer: Any) -> Any:
        return copy.copy(buffer) if isinstance(buffer, WaitingRows) else join(buffer)

    def gather(self: BigQueryWriteHandler, stream: WriteStream, rows: Any) -> None:
        if isinstance(rows, WaitingRows):
            place = (stream.project_id, stream.dataset_id, stream.table_id)
            committing.places.setdefault(place, []).append((stream, rows))
        else:
            store(self, stream, rows)

    def commit_together(
        self: BigQueryWriteHandler, request: bytes, context: grpc.ServicerContext
    ) -> bytes:
        committing.places = {}
        answer = commit(self, request, context)
        for streams in committing.places.values():
            store(self, streams[0][0], Together([rows for _, rows in streams]))
        return bytes(answer)

    BigQueryWriteHandler.__init__ = with_room
    BigQueryWriteHandler._handle_batch_commit_write_streams = commit_together
    BigQueryWriteHandler._flush_to_target = gather
    WriteStreamManager.create = with_waiting_rows
    pending._concat = concat


def abandoned_streams_end() -> None:
    """Drop a PENDING stream a day after it was opened, or four hours after its seal.

    As BigQuery does; stock keeps the rows of every stream that is never committed, and the name
    of each that is. They are looked for whenever a stream is opened.
    """
    lifetimes = Lifetimes()
    create = WriteStreamManager.create
    finalize = BigQueryWriteHandler._handle_finalize_write_stream

    def after_clearing(self: WriteStreamManager, *args: Any, **named: Any) -> WriteStream:
        for name in lifetimes.overdue():
            self.delete(name)
        stream = create(self, *args, **named)
        if stream.stream_type is WriteStreamType.PENDING:
            lifetimes.opened(stream.name)
        return stream

    def sealed(self: BigQueryWriteHandler, request: bytes, context: grpc.ServicerContext) -> bytes:
        answer = finalize(self, request, context)
        lifetimes.sealed(types.FinalizeWriteStreamRequest.deserialize(request).name)
        return bytes(answer)

    WriteStreamManager.create = after_clearing
    BigQueryWriteHandler._handle_finalize_write_stream = sealed

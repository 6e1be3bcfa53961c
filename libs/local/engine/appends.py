"""Appends: rows by name, and offsets that count stored rows."""

from __future__ import annotations

import contextlib
import uuid

import grpc
import pyarrow as pa
from bqemulator.grpc_api import write_servicer
from bqemulator.grpc_api.write_servicer import BigQueryWriteHandler
from bqemulator.storage.sql_identifiers import quoted_table_ref, register_name
from bqemulator.streaming.strategies import pending
from bqemulator.streaming.write_stream import WriteStream, WriteStreamType
from google.cloud.bigquery_storage_v1 import types

from libs.local.engine.commits import STORING, refusal, stored_at_once

STORED_AT_ONCE = (WriteStreamType.COMMITTED, WriteStreamType.DEFAULT)


def failed_append_keeps_offset() -> None:
    """Answer an append that fails in the database with an error, and leave the stream as it was.

    Stock moves the offset on and drops the connection: the retry is told ALREADY_EXISTS, and the
    rows are lost. A journal on a COMMITTED stream depends on this.
    """
    append = BigQueryWriteHandler._perform_append

    def perform(
        self: BigQueryWriteHandler, stream: WriteStream, rows: pa.Table, *args: int | None
    ) -> bytes:
        at_once = stream.stream_type in STORED_AT_ONCE
        with stream.lock:
            try:
                with stored_at_once(self, stream) if at_once else contextlib.nullcontext():
                    return bytes(append(self, stream, rows, *args))
            except STORING as error:
                told = refusal(error)
                code = grpc.StatusCode[told.grpc_status_name]
                return bytes(write_servicer._error_response(stream.name, told.message, code))

    BigQueryWriteHandler._perform_append = perform


def seal_after_append() -> None:
    """Let FinalizeWriteStream wait until an append to the stream has been stored or has failed.

    Stock answers at once: with a count of rows that may yet fail, and the failure opens the stream
    again. Whoever seals a predecessor's journal depends on the count and on the seal.
    """
    finalize = BigQueryWriteHandler._handle_finalize_write_stream

    def in_turn(self: BigQueryWriteHandler, request: bytes, context: grpc.ServicerContext) -> bytes:
        name = types.FinalizeWriteStreamRequest.deserialize(request).name
        stream = self._manager.get(name)
        with stream.lock if stream is not None else contextlib.nullcontext():
            return bytes(finalize(self, request, context))

    BigQueryWriteHandler._handle_finalize_write_stream = in_turn


def rows_by_column_name() -> None:
    """Store rows by the names of their columns, with NULL where the table has more.

    Stock stores them by position: from ALTER TABLE … ADD COLUMN on, every append that does not
    know the column fails, and a stream with rows of before and after cannot be committed.

    DuckDB is handed an Arrow stream as it is: any other object it reads through pyarrow's scanner,
    whose threads run ahead of what is stored by up to 1 GiB.
    """
    BigQueryWriteHandler._flush_to_target = _store
    pending._concat = _joined


def _store(self: BigQueryWriteHandler, stream: WriteStream, rows: pa.Table) -> None:
    place = (stream.project_id, stream.dataset_id, stream.table_id)
    name = register_name(f"__bqemu_write_{uuid.uuid4().hex[:12]}")
    with self._write_lock:
        connection = self._ctx.engine.connection
        connection.register(name, rows.__arrow_c_stream__())
        try:
            self._ctx.engine.execute(
                f"INSERT INTO {quoted_table_ref(*place)} BY NAME SELECT * FROM {name}"
            )
        finally:
            connection.unregister(name)
        listed = self._ctx.catalog.get_table(*place)
        if listed is not None:
            number = listed.num_rows + rows.num_rows
            self._ctx.catalog.update_table(listed.model_copy(update={"num_rows": number}))
        self._ctx.snapshots.record_change(*place)


def _joined(buffer: list[pa.Table]) -> pa.Table | None:
    return pa.concat_tables(buffer, promote_options="default") if buffer else None

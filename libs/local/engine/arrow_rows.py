"""Arrow rows are taken as BigQuery takes them, or refused in the append's response."""

from __future__ import annotations

import functools
from typing import Any

import pyarrow as pa
from bqemulator.api.routes import tabledata
from bqemulator.catalog.models import TableMeta
from bqemulator.grpc_api import write_servicer
from google.cloud.bigquery_storage_v1 import types


def strict_arrow_rows() -> None:
    """Refuse unknown columns and nulls in REQUIRED ones, match names without case, keep STRUCT fields.

    Stock drops unknown columns, stores nulls anywhere, and reads a column spelt in another case
    as all null. Rows are read from the message itself: its wrappers copy them at every look.
    """
    others = write_servicer._rows_for_request

    def rows(
        request: types.AppendRowsRequest, decoder: Any, known: bytes | None, target: pa.Schema
    ) -> tuple[pa.Table, Any, bytes | None]:
        plain = types.AppendRowsRequest.pb(request)
        if not plain.HasField("arrow_rows"):
            return tuple(others(request, decoder, known, target))
        given = plain.arrow_rows
        schema = given.writer_schema.serialized_schema if given.HasField("writer_schema") else known
        if schema is None:
            raise ValueError("arrow_rows sent without prior writer_schema on this connection")
        found = _read(schema, given.rows.serialized_record_batch)
        return _aligned(found, target), decoder, schema

    write_servicer._rows_for_request = rows
    write_servicer._table_arrow_schema = _table_schema


def _table_schema(table: TableMeta) -> pa.Schema:
    return tabledata._build_arrow_schema(tabledata._fields_raw_from_schema(table.schema_.fields))


def _read(schema: bytes, batch: bytes) -> pa.Table:
    """Return the rows of a request without copying them; raise ValueError if they are none."""
    try:
        columns = _schema(schema)
        if not batch:
            return columns.empty_table()
        return pa.Table.from_batches([pa.ipc.read_record_batch(pa.py_buffer(batch), columns)])
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"Failed to parse Arrow record batch: {error}") from error


@functools.lru_cache(64)
def _schema(serialized: bytes) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(serialized))


def _aligned(rows: pa.Table, target: pa.Schema) -> pa.Table:
    names = {name.lower(): name for name in rows.column_names}
    if extra := sorted(set(names) - {field.name.lower() for field in target}):
        raise ValueError(f"SCHEMA_MISMATCH_EXTRA_FIELDS: {', '.join(extra)}")
    columns = [_column(rows, names.get(field.name.lower()), field) for field in target]
    return pa.Table.from_arrays(columns, schema=target)


def _column(rows: pa.Table, name: str | None, field: pa.Field) -> pa.Array:
    if name is None:
        column = pa.nulls(rows.num_rows, field.type)
    else:
        column = rows.column(name)
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if not field.nullable and column.null_count:
        raise ValueError(f"Field {field.name} is REQUIRED and has null values")
    if column.type == field.type:
        return column
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise ValueError(f"Field {field.name}: {error}") from error

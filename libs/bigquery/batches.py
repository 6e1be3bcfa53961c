"""Cutting and joining Arrow rows into requests of the size that BigQuery likes."""

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

from libs.bigquery.failures import RowTooLarge

REQUEST_BYTES: Final = 4 * 1024 * 1024
"""Serialized bytes that a request of rows aims at."""

REQUEST_BYTES_CAP: Final = 8 * 1024 * 1024
"""Serialized bytes that no request of rows may exceed."""


def serialized_bytes(batch: pa.RecordBatch) -> int:
    """Return the size of `batch` on the wire."""
    return int(pa.ipc.get_record_batch_size(batch))


def conform(rows: pa.RecordBatch | pa.Table, schema: pa.Schema) -> pa.Table:
    """Return `rows` with the columns of `schema` in its order and types.

    Raises:
        ValueError: A column is missing or not in `schema`, or a value does not fit its type.
    """
    table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
    if table.schema.equals(schema):
        return table
    if odd := set(table.column_names) ^ set(schema.names):
        raise ValueError(f"columns {', '.join(sorted(odd))}: rows and table must have the same")
    try:
        return table.select(schema.names).cast(schema)
    except pa.ArrowNotImplementedError as error:
        raise ValueError(str(error)) from error


def pieces(table: pa.Table, *, target: int, cap: int) -> Iterator[pa.RecordBatch]:
    """Cut `table` into batches of at most `target` serialized bytes, in order and about equally large.

    A single row may have up to `cap` bytes; a larger one raises RowTooLarge.
    """
    for batch in table.to_batches():
        if batch.num_rows:
            yield from _cut(batch, target, cap)


def _cut(batch: pa.RecordBatch, target: int, cap: int) -> Iterator[pa.RecordBatch]:
    size = serialized_bytes(batch)
    if size <= target:
        yield batch
    elif batch.num_rows == 1:
        if size > cap:
            raise RowTooLarge(size, cap)
        yield batch
    else:
        rows = -(-batch.num_rows // -(-size // target))
        for start in range(0, batch.num_rows, rows):
            yield from _cut(batch.slice(start, rows), target, cap)


class Gathering:
    """Small batches in order, handed on as one when a request is more than half full.

    Pieces of a larger batch are that as they are, so none is held: it would keep all of the batch.
    """

    def __init__(self, schema: pa.Schema, *, target: int, cap: int) -> None:
        """Gather batches of `schema` up to `target` serialized bytes, never beyond `cap`."""
        self._schema = schema
        self._target = min(target, cap)
        self._cap = cap
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0

    def add(self, table: pa.Table) -> Iterator[pa.RecordBatch]:
        """Take rows and yield the requests that became full."""
        for piece in pieces(table, target=self._target, cap=self._cap):
            size = serialized_bytes(piece)
            if self._held and self._held_bytes + size > self._target:
                yield self._take()
            self._held.append(piece)
            self._held_bytes += size
            if 2 * self._held_bytes > self._target:
                yield self._take()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """Yield what is held, if anything."""
        if self._held:
            yield self._take()

    def _take(self) -> pa.RecordBatch:
        held, self._held, self._held_bytes = self._held, [], 0
        return held[0] if len(held) == 1 else _joined(held, self._schema)


def _joined(batches: list[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches, schema=schema)
    return table.combine_chunks().to_batches()[0]

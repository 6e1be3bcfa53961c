"""Rows that wait for their commit: few in memory, many in a file. Imports nothing of bqemulator."""

from __future__ import annotations

import dataclasses
import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import pyarrow as pa

IN_MEMORY_BYTES = 4 * 1024 * 1024
"""What one stream may hold in memory."""

ALL_IN_MEMORY_BYTES = 64 * 1024 * 1024
"""What all streams together may hold in memory."""


class Room:
    """What all streams share: where their files are, and how much they hold in memory.

    The files have no names, so that they end with the process, however that ends.
    """

    def __init__(self, directory: Path | None = None) -> None:
        """Make files in `directory`, None for the system's place for temporary files."""
        self.directory = directory
        self._bytes = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> int:
        """Count `size` more bytes, or fewer if negative; return how many there are now."""
        with self._lock:
            self._bytes += size
            return self._bytes


class WaitingRows:
    """The rows of one stream, in order. Appended to by one thread at a time.

    A copy has the rows of its moment, and keeps them when the original is cleared.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._file: _File | None = None
        self._written: list[_Part] = []
        self._held: list[pa.Table] = []
        self._held_bytes = 0

    def __copy__(self) -> Self:
        """Return the same rows, for reading; only one of the two may be appended to."""
        same = type(self)(self._room)
        same._file, same._written = self._file, list(self._written)
        same._held, same._held_bytes = list(self._held), self._held_bytes
        self._room.take(self._held_bytes)
        return same

    def __del__(self) -> None:
        """Give the memory back; the file ends with the last copy."""
        self._room.take(-self._held_bytes)

    def __len__(self) -> int:
        """Return how many pieces the rows are in."""
        return len(self._written) + len(self._held)

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return sum(part.rows for part in self._written) + sum(t.num_rows for t in self._held)

    @property
    def schema(self) -> pa.Schema:
        """All columns that rows were appended with."""
        written = (part.schema for part in self._written)
        return pa.unify_schemas([*written, *(table.schema for table in self._held)])

    def append(self, rows: pa.Table) -> None:
        """Add `rows`; raise OSError, with nothing added, if they cannot be written."""
        size = rows.nbytes
        total = self._room.take(size)
        self._held.append(rows)
        self._held_bytes += size
        if self._held_bytes < IN_MEMORY_BYTES and total < ALL_IN_MEMORY_BYTES:
            return
        try:
            self._write()
        except OSError:
            self._held.pop()
            self._held_bytes -= size
            self._room.take(-size)
            raise

    def clear(self) -> None:
        """Forget all rows."""
        self._file, self._written = None, []
        self._release()

    def batches(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield all rows with the columns of `schema`, null where they have none, a few MiB at a time."""
        for batch in self._stored():
            yield _with_columns(batch, schema)

    def _stored(self) -> Iterator[pa.RecordBatch]:
        for part in self._written:
            assert self._file is not None
            with pa.ipc.open_stream(self._file.read(part.start, part.size)) as batches:
                yield from batches
        for table in self._held:
            yield from table.to_batches()

    def _write(self) -> None:
        """Move what is held to the end of the file."""
        schema = pa.unify_schemas([table.schema for table in self._held])
        if self._file is None:
            self._file = _File(self._room.directory)
        start = self._written[-1].start + self._written[-1].size if self._written else 0
        end = _End(self._file, start)
        with pa.PythonFile(end, mode="w") as sink, pa.ipc.new_stream(sink, schema) as out:
            for table in self._held:
                for batch in table.to_batches():
                    out.write_batch(_with_columns(batch, schema))
        count = sum(table.num_rows for table in self._held)
        self._written.append(_Part(start=start, size=end.place - start, rows=count, schema=schema))
        self._release()

    def _release(self) -> None:
        self._room.take(-self._held_bytes)
        self._held, self._held_bytes = [], 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """An Arrow stream within a file: where it starts, its bytes, and what is in it."""

    start: int
    size: int
    rows: int
    schema: pa.Schema


class _File:
    """A file without a name, closed when nobody has it any more."""

    def __init__(self, directory: Path | None) -> None:
        self._opened = tempfile.TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115

    def __del__(self) -> None:
        self._opened.close()

    def read(self, start: int, size: int) -> pa.Buffer:
        return pa.py_buffer(os.pread(self._opened.fileno(), size, start))

    def write(self, start: int, data: memoryview) -> None:
        """Put `data` at `start`; after an OSError some of it may be there."""
        while data:
            written = os.pwrite(self._opened.fileno(), data, start)
            data, start = data[written:], start + written


class _End:
    """What is written to a file from a place on, as Arrow writes it: column by column, without a copy."""

    closed = False

    def __init__(self, file: _File, place: int) -> None:
        self._file = file
        self.place = place

    def write(self, data: memoryview) -> int:
        with memoryview(data) as view:
            self._file.write(self.place, view)
            self.place += view.nbytes
            return view.nbytes

    def tell(self) -> int:
        return self.place

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """The file stays open for its other parts."""


class Together:
    """The rows of several streams as one Arrow stream, with NULL where some lack a column."""

    def __init__(self, streams: Sequence[WaitingRows]) -> None:
        self._streams = streams
        self._schema = pa.unify_schemas([rows.schema for rows in streams])

    @property
    def num_rows(self) -> int:
        """How many rows there are."""
        return sum(rows.num_rows for rows in self._streams)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return Arrow's capsule; one at a time can be read."""
        batches = (batch for rows in self._streams for batch in rows.batches(self._schema))
        reader = pa.RecordBatchReader.from_batches(self._schema, batches)
        return reader.__arrow_c_stream__(requested_schema)


def _with_columns(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if batch.schema.equals(schema):
        return batch
    columns = [
        batch.column(field.name)
        if field.name in batch.schema.names
        else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)

"""The rows of a Parquet file in batches of bounded size, however large its row groups are."""

import contextlib
import dataclasses
import itertools
from collections.abc import Generator, Iterator, Sequence
from typing import Final, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from services.ingest.chunks import RowGroups
from services.ingest.failures import MemoryExceeded, SourceMalformed
from services.ingest.sources.arrow_texts import text_of
from services.ingest.sources.parquet_pages import Page, pages
from services.ingest.stores.store import Blob

MOST_ROWS: Final = 32_768
BATCH_BYTES: Final = 8 * 1024 * 1024
"""What a batch aims at, by what the footer says of a row; a batch of four times that is cut."""

BUFFERS_BYTES: Final = 16 * 1024 * 1024
"""What is read ahead over all columns: pages are read one after another, never a column chunk."""

SMALLEST_BUFFER: Final = 64 * 1024
LARGEST_BUFFER: Final = 2 * 1024 * 1024

MOST_PAGE_BYTES: Final = 64 * 1024 * 1024
"""A page is unpacked as a whole; a column chunk is not."""

LENGTH_BYTES: Final = 4
"""Of a text that a page holds as it is, beside its letters."""

LEAST_VALUE_BYTES: Final = 8
"""Of a value in memory, however small it is in the file."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A row group: its rows, and the bytes of the columns asked for before compression."""

    row_count: int
    size_bytes: int


class Batches:
    """An open file. `names` are its columns.

    The footer goes with it: nothing here asks for `FileMetaData.schema`, which would keep each
    footer, megabytes of a large file, until the garbage collector finds that the two hold each other.
    """

    def __init__(self, blob: Blob, name: str, metadata: pq.FileMetaData, schema: pa.Schema) -> None:
        self._blob = blob
        self._name = name
        self._metadata = metadata
        self._schema = schema
        self._leaves = _leaves(schema)
        self.names: list[str] = schema.names

    @classmethod
    @contextlib.contextmanager
    def open(cls, blob: Blob, name: str) -> Generator[Self]:
        """Read the footer. Raises SourceMalformed, and what the blob raises."""
        with blob.seekable() as bytes_:
            try:
                file = pq.ParquetFile(bytes_, pre_buffer=False)
            except (pa.ArrowException, OSError) as error:
                text = f"{name} is no Parquet file"
                raise SourceMalformed(text, source=name, file=name) from error
            with file:
                yield cls(blob, name, file.metadata, file.schema_arrow)

    def type_of(self, name: str) -> pa.DataType:
        """Return a column's type."""
        return self._schema.field(name).type

    def groups(self, wanted: Sequence[str]) -> list[Group]:
        """Return the row groups with what some columns have in them."""
        leaves = self._indexes(wanted)
        groups = (self._metadata.row_group(i) for i in range(self._metadata.num_row_groups))
        return [
            Group(
                row_count=group.num_rows,
                size_bytes=sum(group.column(i).total_uncompressed_size for i in leaves),
            )
            for group in groups
        ]

    def refuse_large_pages(self, wanted: Sequence[str]) -> None:
        """Raise MemoryExceeded for a page that is larger than what is held of a column at once."""
        for group in range(self._metadata.num_row_groups):
            for leaf, page in self._pages_of_large_chunks(group, wanted):
                found = max(page.size_bytes, page.stored_bytes)
                if found > MOST_PAGE_BYTES:
                    column = self._metadata.row_group(group).column(leaf).path_in_schema
                    raise MemoryExceeded(
                        f"{self._name}: row group {group} has a page of {found} bytes in {column}; "
                        f"allowed are {MOST_PAGE_BYTES}: write pages of 1 MiB, or row groups of "
                        "tens of megabytes",
                        source=self._name,
                        found=f"{found} bytes in row group {group}, column {column}",
                        allowed=f"{MOST_PAGE_BYTES} bytes",
                    )

    def _pages_of_large_chunks(
        self, group: int, wanted: Sequence[str]
    ) -> Iterator[tuple[int, Page]]:
        """Yield the pages of those column chunks that may have one that is too large."""
        chunks = [(i, self._metadata.row_group(group).column(i)) for i in self._indexes(wanted)]
        large = [
            (i, chunk) for i, chunk in chunks if chunk.total_uncompressed_size > MOST_PAGE_BYTES
        ]
        if not large:
            return
        with self._blob.seekable() as bytes_:
            for i, chunk in large:
                offsets = (chunk.dictionary_page_offset, chunk.data_page_offset)
                start = min(offset for offset in offsets if offset)
                try:
                    for page in pages(bytes_, start, start + chunk.total_compressed_size):
                        yield i, page
                except ValueError as error:
                    text = (
                        f"{self._name}: row group {group} cannot be read ({error}); write it anew"
                    )
                    raise SourceMalformed(text, source=self._name, file=self._name) from error

    def _indexes(self, wanted: Sequence[str]) -> list[int]:
        return [i for name in wanted for i in self._leaves[name]]

    def read(self, part: RowGroups, wanted: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield some columns of row groups. INT96 moments are microseconds, or texts where finer.

        Columns whose texts repeat may be dictionaries.
        """
        old = [name for name in wanted if self._is_int96(name, part.start)]
        rows = self._rows_of_a_batch(part, wanted)
        if not old:
            yield from self._batches(part, wanted, rows, repeating=self._repeating(part, wanted))
            return
        coarse = self._batches(part, wanted, rows, unit="us")
        for batch, fine in zip(coarse, self._batches(part, old, rows, unit="ns"), strict=True):
            yield _without_int96(batch, fine, old)

    def _is_int96(self, name: str, group: int) -> bool:
        chunks = self._metadata.row_group(group)
        return any(chunks.column(i).physical_type == "INT96" for i in self._leaves[name])

    def _repeating(self, part: RowGroups, wanted: Sequence[str]) -> list[str]:
        """Return columns whose texts take fewer bytes than their lengths would: they are numbers of a few.

        Each batch has such a column's texts anew, so all of them together are not larger than a batch.
        """
        groups = [self._metadata.row_group(group) for group in range(part.start, part.end)]
        sizes = []
        for name in wanted:
            if pa.types.is_string(self.type_of(name)):
                chunks = [group.column(self._leaves[name].start) for group in groups]
                if all(c.total_uncompressed_size < LENGTH_BYTES * c.num_values for c in chunks):
                    sizes.append((max(c.total_uncompressed_size for c in chunks), name))
        until = itertools.accumulate(size for size, _ in sorted(sizes))
        names = (name for _, name in sorted(sizes))
        return [name for name, size in zip(names, until, strict=True) if size <= BATCH_BYTES]

    def _rows_of_a_batch(self, part: RowGroups, wanted: Sequence[str]) -> int:
        """Return how many rows a batch has, by the footer, and by pages where a few may weigh most."""
        groups = [g for g in self.groups(wanted)[part.start : part.end] if g.row_count]
        least = LEAST_VALUE_BYTES * len(self._indexes(wanted))
        widest = max([-(-group.size_bytes // group.row_count) for group in groups], default=0)
        densest = max(
            (
                page.size_bytes // max(1, page.value_count)
                for group in range(part.start, part.end)
                for _, page in self._pages_of_large_chunks(group, wanted)
            ),
            default=0,
        )
        return min(MOST_ROWS, max(1, BATCH_BYTES // max(1, least, widest, densest)))

    def _batches(
        self,
        part: RowGroups,
        wanted: Sequence[str],
        rows: int,
        *,
        unit: str | None = None,
        repeating: Sequence[str] = (),
    ) -> Iterator[pa.RecordBatch]:
        each = BUFFERS_BYTES // max(1, len(self._indexes(wanted)))
        with self._blob.seekable() as bytes_:
            try:
                file = pq.ParquetFile(
                    bytes_,
                    metadata=self._metadata,
                    pre_buffer=False,
                    read_dictionary=list(repeating),
                    buffer_size=min(LARGEST_BUFFER, max(SMALLEST_BUFFER, each)),
                    coerce_int96_timestamp_unit=unit,
                    page_checksum_verification=True,
                )
                with file:
                    groups = list(range(part.start, part.end))
                    for batch in file.iter_batches(
                        batch_size=rows, row_groups=groups, columns=list(wanted), use_threads=False
                    ):
                        yield from _cut(batch)
            except (pa.ArrowException, OSError) as error:
                groups_ = f"row groups {part.start} to {part.end - 1}"
                text = f"{self._name}: {groups_} cannot be read ({error}); write it anew"
                raise SourceMalformed(text, source=self._name, file=self._name) from error


def _cut(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in pieces, where its rows are much larger than the footer lets expect."""
    pieces = -(-batch.nbytes // BATCH_BYTES) if batch.nbytes > 4 * BATCH_BYTES else 1
    rows = max(1, -(-batch.num_rows // pieces))
    for start in range(0, batch.num_rows, rows):
        yield batch.slice(start, rows)


def _leaves(schema: pa.Schema) -> dict[str, range]:
    """Return which of the file's leaf columns make each column."""
    found, start = {}, 0
    for field in schema:
        count = _leaf_count(field.type)
        found[field.name] = range(start, start + count)
        start += count
    return found


def _leaf_count(type_: pa.DataType) -> int:
    if isinstance(type_, pa.BaseExtensionType):
        return _leaf_count(type_.storage_type)
    if pa.types.is_nested(type_):
        return sum(_leaf_count(type_.field(i).type) for i in range(type_.num_fields))
    return 1


def _without_int96(
    batch: pa.RecordBatch, fine: pa.RecordBatch, old: Sequence[str]
) -> pa.RecordBatch:
    """Put texts of nine fraction digits where microseconds alone would lose some.

    `fine` counts nanoseconds in 64 bits and so may have gone around; what it has beyond the
    microseconds is right all the same.
    """
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in old:
        micros = pl.Series(columns[name])
        beyond = pl.Series(fine.column(name)).to_physical() - micros.to_physical() * 1000
        if (beyond != 0).any():
            digits = beyond.cast(pl.String).str.zfill(3)
            texts = pl.Series(text_of(columns[name]))
            columns[name] = (texts + digits).to_arrow().cast(pa.large_string())
    return pa.record_batch(columns)

"""Parquet files: by row groups of any size, and only the columns that a schema asks for."""

import json
from collections.abc import Iterator, Sequence
from functools import partial

import polars as pl
import pyarrow as pa

from services.ingest.chunks import Chunk, Input, RowGroups, chunk_of
from services.ingest.columns import TargetColumn
from services.ingest.failures import Cancelled, SourceEmpty, SourceMalformed
from services.ingest.sources.arrow_cells import cells_of
from services.ingest.sources.arrow_texts import texts_of
from services.ingest.sources.evolving import type_of
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.parquet_batches import Batches
from services.ingest.sources.source import EXTRA, RawBatch, Reading, Splitting
from services.ingest.stores.store import Blob


class ParquetFile:
    """One file."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob

    def plan(self, input_: Input, splitting: Splitting) -> tuple[list[Chunk], dict[str, str]]:
        """Put row groups together until their columns make about `chunk_bytes`.

        Returns:
            Chunks, and the types of columns that the schema lacks, by name.
        """
        name = input_.input_id
        with Batches.open(self._blob, name) as batches:
            matched = match(name, batches.names, splitting.columns)
            wanted = _wanted(matched, splitting.columns)
            groups = batches.groups(wanted)
            batches.refuse_large_pages(wanted)
            extra = {column: type_of(batches.type_of(column)) for column in matched.extra}
        chunks = []
        start, first, size, rows = 0, 0, 0, 0
        for i, group in enumerate(groups):
            size, rows = size + group.size_bytes, rows + group.row_count
            if size >= splitting.chunk_bytes or i + 1 == len(groups):
                part = RowGroups(start=start, end=i + 1, first_row_number=first)
                chunks.append(
                    chunk_of(
                        input_,
                        part,
                        splitting.spec_hash,
                        estimated_bytes=size,
                        expected_row_count=rows,
                    )
                )
                start, first, size, rows = i + 1, first + rows, 0, 0
        if not sum(group.row_count for group in groups):
            raise SourceEmpty(f"{name} has no row; remove or fill it", source=name)
        return chunks, extra

    def read(self, chunk: Chunk, part: RowGroups, reading: Reading) -> Iterator[RawBatch]:
        """Yield the rows of a chunk: in a column's type where every cell has it, else as texts."""
        number = part.first_row_number
        name = chunk.input.input_id
        with Batches.open(self._blob, name) as batches:
            matched = match(name, batches.names, reading.columns)
            wanted = _wanted(matched, reading.columns)
            others = _Others(batches, part, wanted)
            for found in batches.read(part, wanted):
                if reading.cancelled.is_set():
                    raise Cancelled
                first, number = number, number + found.num_rows
                yield RawBatch(
                    rows=_rows(found, matched, reading.columns, name),
                    row_numbers=pl.int_range(first, number, dtype=pl.Int64, eager=True),
                    raw_rows=partial(others.whole, found, first - part.first_row_number),
                    read_bytes=found.nbytes,
                )
                del found  # before more is read


def _wanted(matched: Matched, columns: Sequence[TargetColumn]) -> tuple[str, ...]:
    """Return the file's columns that rows are made of; those for `extra` too, where there is one."""
    kept = matched.extra if any(_is_extra(column) for column in columns) else ()
    return (*dict.fromkeys((*matched.names.values(), *kept)),)


def _is_extra(column: TargetColumn) -> bool:
    return column.name == EXTRA and column.type == "JSON"


def _rows(
    found: pa.RecordBatch, matched: Matched, columns: Sequence[TargetColumn], name: str
) -> pl.DataFrame:
    try:
        return pl.DataFrame([_cells(found, matched, column) for column in columns])
    except (pa.ArrowException, ValueError) as error:
        text = f"{name}: a column has a type that is not read ({error}); write it as another"
        raise SourceMalformed(text, source=name, file=name) from error


def _cells(found: pa.RecordBatch, matched: Matched, column: TargetColumn) -> pl.Series:
    own = matched.names.get(column.name)
    if _is_extra(column) and matched.extra:
        others = [*matched.extra, *([own] if own else [])]
        texts = texts_of(found.select(others))
        return texts.select(pl.struct(pl.all()).struct.json_encode().alias(column.name)).to_series()
    if own is None:
        return pl.repeat(None, found.num_rows, dtype=pl.String, eager=True).alias(column.name)
    return cells_of(found.column(own), column)


class _Others:
    """The columns that rows are not made of, read only where a row is to be shown whole.

    Args:
        batches: The file.
        part: Its row groups that are read.
        wanted: The columns that rows are made of.
    """

    def __init__(self, batches: Batches, part: RowGroups, wanted: Sequence[str]) -> None:
        self._names = [name for name in batches.names if name not in wanted]
        self._order = batches.names
        self._batches = batches.read(part, self._names)
        self._batch = pa.record_batch({})
        self._first = 0

    def whole(self, batch: pa.RecordBatch, first: int, indexes: Sequence[int]) -> list[str]:
        """Return rows of a batch, whose first row is row `first` of the part, with all columns.

        `indexes` ascend, and so do the batches of all calls.
        """
        texts = texts_of(batch.take(pa.array(indexes, pa.int64())))
        if self._names:
            texts = texts.hstack(self._beside([first + index for index in indexes]))
        rows = texts.select(self._order).iter_rows(named=True)
        return [json.dumps(row, ensure_ascii=False) for row in rows]

    def _beside(self, rows: Sequence[int]) -> pl.DataFrame:
        found, left = [], list(rows)
        while left:
            while left[0] >= self._first + self._batch.num_rows:
                self._first += self._batch.num_rows
                self._batch = next(self._batches)
            here = [r - self._first for r in left if r < self._first + self._batch.num_rows]
            found.append(texts_of(self._batch.take(pa.array(here, pa.int64()))))
            left = left[len(here) :]
        return pl.concat(found)

"""Parquet files: by row groups; decimals exact, doubles as the shortest text that round-trips."""

import contextlib
import json
from collections.abc import Generator, Iterator, Sequence
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from services.ingest.chunks import Chunk, Input, RowGroups, chunk_of
from services.ingest.failures import Cancelled, SourceEmpty, SourceMalformed
from services.ingest.sources.arrow_texts import texts_of
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.source import RawBatch, Reading, Splitting
from services.ingest.stores.store import Blob

ROWS: Final = 20_000


class ParquetFile:
    """One file."""

    def __init__(self, blob: Blob) -> None:
        self._blob = blob

    @contextlib.contextmanager
    def _open(self, name: str) -> Generator[pq.ParquetFile]:
        with self._blob.seekable() as bytes_:
            try:
                file = pq.ParquetFile(bytes_)
            except (pa.ArrowException, OSError) as error:
                text = f"{name} is no Parquet file"
                raise SourceMalformed(text, source=name, file=name) from error
            with file:
                yield file

    def plan(self, input_: Input, splitting: Splitting) -> tuple[list[Chunk], Matched]:
        """Put row groups together until they make about `chunk_bytes`."""
        with self._open(input_.input_id) as file:
            matched = match(input_.input_id, file.schema_arrow.names, splitting.columns)
            groups = [file.metadata.row_group(i) for i in range(file.num_row_groups)]
        chunks = []
        start, first, size, rows = 0, 0, 0, 0
        for i, group in enumerate(groups):
            size, rows = size + group.total_byte_size, rows + group.num_rows
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
        if not sum(group.num_rows for group in groups):
            raise SourceEmpty(
                f"{input_.input_id} has no row; remove or fill it", source=input_.input_id
            )
        return chunks, matched

    def read(self, chunk: Chunk, part: RowGroups, reading: Reading) -> Iterator[RawBatch]:
        """Yield the rows of a chunk as texts."""
        number = part.first_row_number
        name = chunk.input.input_id
        with self._open(name) as file:
            matched = match(name, file.schema_arrow.names, reading.columns)
            for found in _batches(file, part, name):
                if reading.cancelled.is_set():
                    raise Cancelled
                texts = _texts(found, name)
                yield _batch(texts, number, matched, reading, found.nbytes)
                number += texts.height


def _batches(file: pq.ParquetFile, part: RowGroups, name: str) -> Iterator[pa.RecordBatch]:
    groups = list(range(part.start, part.end))
    try:
        yield from file.iter_batches(batch_size=ROWS, row_groups=groups)
    except (pa.ArrowException, OSError) as error:
        text = f"{name}: row groups {part.start} to {part.end - 1} cannot be read; write it anew"
        raise SourceMalformed(text, source=name, file=name) from error


def _texts(found: pa.RecordBatch, name: str) -> pl.DataFrame:
    try:
        return texts_of(found)
    except (pa.ArrowException, ValueError) as error:
        text = f"{name}: a column has a type that is not read ({error}); write it as another"
        raise SourceMalformed(text, source=name, file=name) from error


def _batch(
    texts: pl.DataFrame, first: int, matched: Matched, reading: Reading, size: int
) -> RawBatch:
    def raw_rows(indexes: Sequence[int]) -> list[str]:
        return [json.dumps(texts.row(i, named=True), ensure_ascii=False) for i in indexes]

    return RawBatch(
        rows=matched.rows(texts, reading.columns),
        row_numbers=pl.int_range(first, first + texts.height, dtype=pl.Int64, eager=True),
        raw_rows=raw_rows,
        read_bytes=size,
    )

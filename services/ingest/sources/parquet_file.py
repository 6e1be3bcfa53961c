"""Parquet files: by row groups; decimals exact, doubles as the shortest text that round-trips."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from services.ingest.chunks import Chunk, Input, RowGroups, chunk_of
from services.ingest.failures import Cancelled, SourceEmpty, SourceMalformed
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.source import EXTRA, RawBatch, Reading, Splitting

ROWS: Final = 20_000


class ParquetFile:
    """One file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _open(self, name: str) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self._path)
        except (pa.ArrowInvalid, OSError) as error:
            raise SourceMalformed(f"{name} is no Parquet file", file=name) from error

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
        with self._open(chunk.input.input_id) as file:
            matched = match(chunk.input.input_id, file.schema_arrow.names, reading.columns)
            groups = list(range(part.start, part.end))
            for found in file.iter_batches(batch_size=ROWS, row_groups=groups):
                if reading.cancelled.is_set():
                    raise Cancelled
                texts = _texts(pa.Table.from_batches([found]))
                yield _batch(texts, number, matched, reading, found.nbytes)
                number += texts.height


def _texts(table: pa.Table) -> pl.DataFrame:
    frame = pl.DataFrame(pl.from_arrow(table))
    return frame.select(_text(frame[name]) for name in frame.columns)


def _text(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if dtype == pl.String:
        return column
    if dtype in {pl.Float32, pl.Float64}:
        values = [None if v is None else repr(v) for v in column.to_list()]
        return pl.Series(column.name, values, dtype=pl.String)
    if isinstance(dtype, pl.Datetime):
        utc = column.dt.convert_time_zone("UTC") if dtype.time_zone else column
        return utc.dt.to_string("%Y-%m-%d %H:%M:%S%.f").alias(column.name)
    if dtype.is_nested() or dtype == pl.Binary:
        values = [
            None if v is None else json.dumps(_plain(v), default=str) for v in column.to_list()
        ]
        return pl.Series(column.name, values, dtype=pl.String)
    return column.cast(pl.String)


def _plain(value: object) -> object:
    """A map arrives as a list of key and value; everything else as it is."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and set(item) == {"key", "value"} for item in value)
    ):
        return {item["key"]: item["value"] for item in value}
    return value


def _batch(
    texts: pl.DataFrame, first: int, matched: Matched, reading: Reading, size: int
) -> RawBatch:
    def raw_rows(indexes: Sequence[int]) -> list[str]:
        return [json.dumps(texts.row(i, named=True), ensure_ascii=False) for i in indexes]

    rows = texts.select(
        pl.col(matched.names[c.name]).alias(c.name)
        if c.name in matched.names
        else pl.lit(None, dtype=pl.String).alias(c.name)
        for c in reading.columns
    )
    if reading.keeps_extra and matched.extra:
        extra = texts.select(pl.struct(matched.extra).struct.json_encode().alias(EXTRA))
        rows = rows.with_columns(extra.to_series())
    numbers = pl.int_range(first, first + texts.height, dtype=pl.Int64, eager=True)
    return RawBatch(rows=rows, row_numbers=numbers, raw_rows=raw_rows, read_bytes=size)

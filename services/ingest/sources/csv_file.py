"""CSV files: cut at record boundaries, read as texts, record by record where they are odd."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import polars as pl

from services.ingest.chunks import ByteRange, Chunk, Input, chunk_of
from services.ingest.failures import Cancelled, SourceEmpty, SourceMalformed
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.records import Dialect, Records, find_records
from services.ingest.sources.source import EXTRA, RawBatch, Reading, Reject, Splitting

BLOCK: Final = 16 * 1024 * 1024
SMALLEST_BLOCK: Final = 4096
LONGEST_RECORD: Final = 64 * 1024 * 1024
BOM: Final = b"\xef\xbb\xbf"


class CsvFile:
    """One file of a dialect; `null_values` are texts that mean null."""

    def __init__(self, path: Path, dialect: Dialect, null_values: Sequence[str]) -> None:
        self._path = path
        self._dialect = dialect
        self._nulls = list(null_values)

    def plan(self, input_: Input, splitting: Splitting) -> tuple[list[Chunk], Matched]:
        """Cut the file into chunks of about `chunk_bytes`, each ending where a record ends."""
        header, begin = self._header(input_.input_id)
        matched = match(input_.input_id, header, splitting.columns)
        chunks = []
        rows = 0
        for part in self._parts(input_, begin, splitting.chunk_bytes, tuple(header)):
            chunk_range, count = part
            rows += count
            chunks.append(
                chunk_of(
                    input_,
                    chunk_range,
                    splitting.spec_hash,
                    estimated_bytes=chunk_range.end - chunk_range.start,
                    expected_row_count=count,
                )
            )
        if not rows:
            text = f"{input_.input_id} has a header and no row; remove it or fill it"
            raise SourceEmpty(text, source=input_.input_id)
        return chunks, matched

    def _header(self, name: str) -> tuple[list[str], int]:
        with self._path.open("rb") as file:
            head = file.read(BLOCK)
        if not head.strip():
            raise SourceEmpty(f"{name} has no bytes; remove it or fill it", source=name)
        skip = len(BOM) if head.startswith(BOM) else 0
        found = find_records(head[skip:], self._dialect, last=len(head) < BLOCK, count_cells=False)
        if not len(found.ends):
            raise SourceMalformed(f"{name}: no line break in its first 16 MiB", file=name)
        text = head[skip : skip + int(found.ends[0])]
        try:
            (header,) = self._read_records([text])
        except UnicodeDecodeError as error:
            raise SourceMalformed(f"{name}: its header is no UTF-8", file=name) from error
        next_start = int(found.starts[1]) if len(found.starts) > 1 else found.complete_bytes
        return header, skip + next_start

    def _parts(
        self, input_: Input, begin: int, chunk_bytes: int, header: tuple[str, ...]
    ) -> Iterator[tuple[ByteRange, int]]:
        start, first, count, position = begin, 0, 0, begin
        step = max(SMALLEST_BLOCK, min(BLOCK, chunk_bytes))
        for records, _ in self._blocks(begin, input_.size_bytes, input_.input_id, step):
            count += records.count
            position += records.complete_bytes
            if position - start >= chunk_bytes:
                yield _range(start, position, first, header), count
                start, first, count = position, first + count, 0
        if count:
            yield _range(start, position, first, header), count

    def _blocks(
        self, start: int, end: int, name: str, step: int = BLOCK
    ) -> Iterator[tuple[Records, bytes]]:
        """Yield blocks of whole records, and where the records in them are."""
        with self._path.open("rb") as file:
            file.seek(start)
            left, rest = end - start, b""
            while left > 0:
                data = file.read(min(step, left))
                left -= len(data)
                if not data:
                    break
                block = rest + data
                found = find_records(block, self._dialect, last=left <= 0)
                rest = block[found.complete_bytes :]
                if len(rest) > LONGEST_RECORD:
                    text = f"{name}: a record of more than 64 MiB; a quote may be left open"
                    raise SourceMalformed(text, file=name)
                if found.complete_bytes:
                    yield found, block[: found.complete_bytes]

    def _read_records(self, texts: Sequence[bytes]) -> list[list[str]]:
        lines = (text.decode("utf-8") for text in texts)
        dialect = self._dialect
        return [
            next(
                csv.reader(
                    io.StringIO(line, newline=""),
                    delimiter=dialect.delimiter,
                    quotechar=dialect.quote,
                    strict=False,
                )
            )
            for line in lines
        ]

    def read(self, chunk: Chunk, part: ByteRange, reading: Reading) -> Iterator[RawBatch]:
        """Yield the records of a chunk as texts."""
        csv.field_size_limit(LONGEST_RECORD)
        header = list(part.header)
        matched = match(chunk.input.input_id, header, reading.columns)
        number = part.first_row_number
        for found, block in self._blocks(part.start, part.end, chunk.input.input_id):
            if reading.cancelled.is_set():
                raise Cancelled
            kept = found.blank.not_().arg_true()
            cells = found.cells.gather(kept)
            even = cells == len(header)
            whole = kept.filter(even)
            numbers = pl.Series("n", range(number, number + len(kept)), dtype=pl.Int64)
            texts = _texts(block, found, kept.filter(~even))
            rejects = [
                _ragged(n, count, len(header), text)
                for n, count, text in zip(
                    numbers.filter(~even).to_list(),
                    cells.filter(~even).to_list(),
                    texts,
                    strict=True,
                )
            ]
            frame, bad = self._frame(block, found, whole, header)
            rejects += [
                Reject(row_number=numbers.filter(even)[i], kind="MALFORMED", detail=why, raw=text)
                for i, why, text in bad
            ]
            rows = numbers.filter(even)
            if bad:
                rows = rows.filter(
                    ~pl.int_range(len(rows), eager=True).is_in([i for i, _, _ in bad])
                )
            yield self._batch(frame, rows, matched, reading, rejects, found.complete_bytes)
            number += len(kept)

    def _frame(
        self, block: bytes, found: Records, whole: pl.Series, header: list[str]
    ) -> tuple[pl.DataFrame, list[tuple[int, str, str]]]:
        """Parse the records named; return the frame, and records that are no UTF-8 or no CSV."""
        schema = dict.fromkeys(header, pl.String)
        if not len(whole):
            return pl.DataFrame(schema=schema), []
        plain = len(whole) == len(found.starts) and b"\r" not in block
        data = block if plain else b"\n".join(_texts(block, found, whole))
        try:
            frame = pl.read_csv(
                io.BytesIO(data),
                has_header=False,
                new_columns=header,
                infer_schema=False,
                separator=self._dialect.delimiter,
                quote_char=self._dialect.quote,
            )
        except pl.exceptions.PolarsError:
            frame = pl.DataFrame(schema=schema)
        if frame.height == len(whole) and frame.width == len(header):
            return frame, []
        return self._one_by_one(_texts(block, found, whole), header)

    def _one_by_one(
        self, texts: Sequence[bytes], header: list[str]
    ) -> tuple[pl.DataFrame, list[tuple[int, str, str]]]:
        rows: list[list[str | None]] = []
        bad = []
        for i, text in enumerate(texts):
            try:
                (cells,) = self._read_records([text])
            except (UnicodeDecodeError, csv.Error) as error:
                bad.append((i, f"no UTF-8 or no CSV ({type(error).__name__})", _shown(text)))
                continue
            if len(cells) != len(header):
                bad.append((i, f"{len(cells)} cells, not {len(header)}", _shown(text)))
                continue
            rows.append([cell or None for cell in cells])
        return pl.DataFrame(rows, schema=dict.fromkeys(header, pl.String), orient="row"), bad

    def _batch(
        self,
        frame: pl.DataFrame,
        numbers: pl.Series,
        matched: Matched,
        reading: Reading,
        rejects: list[Reject],
        read_bytes: int,
    ) -> RawBatch:
        def raw_rows(indexes: Sequence[int]) -> list[str]:
            return [json.dumps(frame.row(i, named=True), ensure_ascii=False) for i in indexes]

        if self._nulls:
            null = pl.all().is_in(pl.lit(pl.Series(self._nulls, dtype=pl.String)).implode())
            values = frame.select(pl.when(~null).then(pl.all()))
        else:
            values = frame
        selected = [
            pl.col(matched.names[c.name]).alias(c.name)
            if c.name in matched.names
            else pl.lit(None, dtype=pl.String).alias(c.name)
            for c in reading.columns
        ]
        rows = values.select(selected) if frame.height else _empty(reading)
        if reading.keeps_extra and matched.extra and frame.height:
            extra = pl.struct(matched.extra).struct.json_encode()
            rows = rows.with_columns(values.select(extra.alias(EXTRA)).to_series())
        return RawBatch(
            rows=rows,
            row_numbers=numbers,
            raw_rows=raw_rows,
            rejects=tuple(rejects),
            read_bytes=read_bytes,
        )


def _empty(reading: Reading) -> pl.DataFrame:
    return pl.DataFrame(schema={c.name: pl.String for c in reading.columns})


def _range(start: int, end: int, first: int, header: tuple[str, ...]) -> ByteRange:
    return ByteRange(start=start, end=end, first_row_number=first, header=header)


def _texts(block: bytes, found: Records, which: pl.Series) -> list[bytes]:
    starts, ends = found.starts.gather(which).to_list(), found.ends.gather(which).to_list()
    return [block[start:end] for start, end in zip(starts, ends, strict=True)]


def _ragged(number: int, cells: int, wanted: int, text: bytes) -> Reject:
    detail = f"found {cells} cells; allowed are {wanted}, as the header has"
    return Reject(row_number=number, kind="RAGGED", detail=detail, raw=_shown(text))


def _shown(text: bytes) -> str:
    return text.decode("utf-8", errors="replace")

"""CSV files: cut at record boundaries, read as texts, record by record where they are odd."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from services.ingest.chunks import ByteRange, Chunk, Input, chunk_of
from services.ingest.failures import Cancelled, SourceEmpty, SourceMalformed
from services.ingest.sources.cells import split
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.records import Dialect, Records, find_records
from services.ingest.sources.source import RawBatch, Reading, Reject, Splitting
from services.ingest.stores.store import Blob

BLOCK: Final = 4 * 1024 * 1024
SMALLEST_STEP: Final = 4096
LONGEST_RECORD: Final = 64 * 1024 * 1024
BOM: Final = b"\xef\xbb\xbf"
BROKEN: Final = (
    "a quote or carriage return where RFC 4180 allows none; allowed are quotes around a whole cell, "
    "doubled inside of it"
)


class CsvFile:
    """One file of a dialect.

    Args:
        blob: The file.
        dialect: Its delimiter and quote.
        null_values: Texts that mean null, quoted or not.
        block_bytes: How much is read at once.
    """

    def __init__(
        self,
        blob: Blob,
        dialect: Dialect,
        null_values: Sequence[str] = (),
        *,
        block_bytes: int = BLOCK,
    ) -> None:
        self._blob = blob
        self._dialect = dialect
        self._nulls = list(null_values)
        self._block_bytes = block_bytes

    def plan(self, input_: Input, splitting: Splitting) -> tuple[list[Chunk], Matched]:
        """Cut the file into chunks of about `chunk_bytes`, each ending where a record ends."""
        header, begin = self._header(input_.input_id)
        matched = match(input_.input_id, header, splitting.columns)
        chunks = []
        for part, count in self._parts(input_, begin, splitting, tuple(header)):
            chunks.append(
                chunk_of(
                    input_,
                    part,
                    splitting.spec_hash,
                    estimated_bytes=part.end - part.start,
                    expected_row_count=count,
                )
            )
        if not chunks:
            text = f"{input_.input_id} has a header and no row; remove it or fill it"
            raise SourceEmpty(text, source=input_.input_id)
        return chunks, matched

    def _header(self, name: str) -> tuple[list[str], int]:
        """Return the names of the first record, and where the next one begins."""
        with self._blob.stream(0, self._blob.size_bytes) as file:
            head = file.read(BLOCK)
        skip = len(BOM) if head.startswith(BOM) else 0
        head = head[skip:]
        if not head.strip():
            raise SourceEmpty(f"{name} has no bytes; remove it or fill it", source=name)
        found = find_records(head, self._dialect, last=len(head) < BLOCK - skip)
        first = next(iter(found.blank.not_().arg_true().to_list()), None)
        if first is None:
            raise SourceMalformed(f"{name}: no record in its first 4 MiB", source=name, file=name)
        if found.bad[first]:
            text = f"{name}: its header has {BROKEN}; line breaks are LF or CR LF"
            raise SourceMalformed(text, source=name, file=name)
        try:
            text = head[found.starts[first] : found.ends[first]].decode()
        except UnicodeDecodeError as error:
            raise SourceMalformed(
                f"{name}: its header is no UTF-8", source=name, file=name
            ) from error
        more = first + 1 < len(found.starts)
        begin = int(found.starts[first + 1]) if more else found.complete_bytes
        return [cell or "" for cell in split(text, self._dialect)], skip + begin

    def _parts(
        self, input_: Input, begin: int, splitting: Splitting, header: tuple[str, ...]
    ) -> Iterator[tuple[ByteRange, int]]:
        chunk_bytes = splitting.chunk_bytes
        start, first, count, position = begin, 0, 0, begin
        step = min(self._block_bytes, max(SMALLEST_STEP, chunk_bytes))
        for records, _ in self._blocks(begin, input_.size_bytes, input_.input_id, step):
            if splitting.cancelled.is_set():
                raise Cancelled
            count += records.count
            position += records.complete_bytes
            if count and position - start >= chunk_bytes - step // 2:
                yield _range(start, position, first, header), count
                start, first, count = position, first + count, 0
        if count:
            yield _range(start, position, first, header), count

    def _blocks(
        self, start: int, end: int, name: str, step: int
    ) -> Iterator[tuple[Records, bytes]]:
        """Yield blocks of whole records, and where the records in them are."""
        with self._blob.stream(start, end) as file:
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
                    raise SourceMalformed(text, source=name, file=name)
                if found.complete_bytes:
                    yield found, block[: found.complete_bytes]

    def read(self, chunk: Chunk, part: ByteRange, reading: Reading) -> Iterator[RawBatch]:
        """Yield the records of a chunk as texts."""
        header = list(part.header)
        matched = match(chunk.input.input_id, header, reading.columns)
        first = part.first_row_number
        name = chunk.input.input_id
        for found, block in self._blocks(part.start, part.end, name, self._block_bytes):
            if reading.cancelled.is_set():
                raise Cancelled
            yield self._batch(found, block, first, header, matched, reading)
            first += found.count

    def _batch(
        self,
        found: Records,
        block: bytes,
        first: int,
        header: list[str],
        matched: Matched,
        reading: Reading,
    ) -> RawBatch:
        kept = found.blank.not_().arg_true()
        numbers = pl.int_range(first, first + len(kept), dtype=pl.Int64, eager=True)
        bad = found.bad.gather(kept)
        ragged = (found.cells.gather(kept) != len(header)) & ~bad
        rejects = [
            *_broken(numbers.filter(bad), _texts(block, found, kept.filter(bad))),
            *_ragged(
                numbers.filter(ragged),
                found.cells.gather(kept.filter(ragged)),
                len(header),
                _texts(block, found, kept.filter(ragged)),
            ),
        ]
        whole = ~(bad | ragged)
        frame, undecodable = self._frame(block, found, kept.filter(whole), header)
        rows = numbers.filter(whole)
        if undecodable:
            rejects += [_no_utf8(rows[i], text) for i, text in undecodable]
            lost = [i for i, _ in undecodable]
            rows = rows.filter(~pl.int_range(len(rows), eager=True).is_in(lost))

        def raw_rows(indexes: Sequence[int]) -> list[str]:
            return [json.dumps(frame.row(i, named=True), ensure_ascii=False) for i in indexes]

        return RawBatch(
            rows=matched.rows(self._nulled(frame), reading.columns),
            row_numbers=rows,
            raw_rows=raw_rows,
            rejects=tuple(rejects),
            read_bytes=found.complete_bytes,
        )

    def _nulled(self, frame: pl.DataFrame) -> pl.DataFrame:
        if not self._nulls:
            return frame
        null = pl.all().is_in(pl.lit(pl.Series(self._nulls, dtype=pl.String)).implode())
        return frame.select(pl.when(~null).then(pl.all()))

    def _frame(
        self, block: bytes, found: Records, whole: pl.Series, header: list[str]
    ) -> tuple[pl.DataFrame, list[tuple[int, bytes]]]:
        """Parse the records named; return the frame, and the records that are no UTF-8 by index."""
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
        as_found = frame.height == len(whole) and frame.width == len(header)
        if as_found and not data.startswith(BOM):
            return frame, []
        return self._one_by_one(_texts(block, found, whole), schema)

    def _one_by_one(
        self, texts: Sequence[bytes], schema: dict[str, type[pl.String]]
    ) -> tuple[pl.DataFrame, list[tuple[int, bytes]]]:
        rows: list[list[str | None]] = []
        undecodable = []
        for i, text in enumerate(texts):
            try:
                rows.append(split(text.decode(), self._dialect))
            except UnicodeDecodeError:
                undecodable.append((i, text))
        return pl.DataFrame(rows, schema=schema, orient="row"), undecodable


def _range(start: int, end: int, first: int, header: tuple[str, ...]) -> ByteRange:
    return ByteRange(start=start, end=end, first_row_number=first, header=header)


def _texts(block: bytes, found: Records, which: pl.Series) -> list[bytes]:
    starts, ends = found.starts.gather(which).to_list(), found.ends.gather(which).to_list()
    return [block[start:end] for start, end in zip(starts, ends, strict=True)]


def _broken(numbers: pl.Series, texts: Sequence[bytes]) -> Iterator[Reject]:
    for number, text in zip(numbers, texts, strict=True):
        detail = f"found {BROKEN}"
        yield Reject(row_number=number, kind="MALFORMED", detail=detail, raw=_shown(text))


def _ragged(
    numbers: pl.Series, cells: pl.Series, wanted: int, texts: Sequence[bytes]
) -> Iterator[Reject]:
    for number, count, text in zip(numbers, cells, texts, strict=True):
        detail = f"found {count} cells; allowed are {wanted}, as the header has"
        yield Reject(row_number=number, kind="RAGGED", detail=detail, raw=_shown(text))


def _no_utf8(number: int, text: bytes) -> Reject:
    detail = "found bytes that are no UTF-8; allowed is UTF-8"
    return Reject(row_number=number, kind="MALFORMED", detail=detail, raw=_shown(text))


def _shown(text: bytes) -> str:
    return text.decode("utf-8", errors="replace")

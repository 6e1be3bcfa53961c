"""Delimited text from any stream: read as texts, record by record where they are odd."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import polars as pl

from services.ingest.failures import Cancelled, SourceEmpty, SourceMalformed
from services.ingest.sources.cells import split
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.records import Dialect, Records, find_records
from services.ingest.sources.source import RawBatch, Reading, Reject

BLOCK: Final = 4 * 1024 * 1024
HEAD: Final = 4 * 1024 * 1024
"""In which a header must end."""
LONGEST_RECORD: Final = 64 * 1024 * 1024
BOM: Final = b"\xef\xbb\xbf"
BROKEN: Final = (
    "a quote or carriage return where RFC 4180 allows none; allowed are quotes around a whole cell, "
    "doubled inside of it"
)


class Stream(Protocol):
    """Bytes that are read once, in order."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


class Limited:
    """The first `size` bytes of a stream."""

    def __init__(self, stream: Stream, size: int) -> None:
        self._stream = stream
        self._left = size

    def read(self, size: int, /) -> bytes:
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data


def read_fully(stream: Stream, size: int) -> bytes:
    """Return `size` bytes of a stream, fewer only if it ends."""
    parts: list[bytes] = []
    while size > 0 and (data := stream.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


class CsvReader:
    """Reads records of a dialect.

    Args:
        dialect: Delimiter and quote.
        null_values: Texts that mean null, quoted or not.
        block_bytes: How much is read at once.
    """

    def __init__(
        self,
        dialect: Dialect,
        null_values: Sequence[str] = (),
        *,
        block_bytes: int = BLOCK,
    ) -> None:
        self._dialect = dialect
        self._nulls = list(null_values)
        self.block_bytes = block_bytes

    def header_of(self, head: bytes, name: str, *, last: bool) -> tuple[list[str], int]:
        """Return the names of a text's first record, and where the next one begins.

        Args:
            head: The first `HEAD` bytes of the text, or all of it.
            name: Of the file.
            last: Whether `head` is all of it.

        Raises:
            SourceEmpty: there is nothing but blanks.
            SourceMalformed: no record ends in `head`, or the first is no header.
        """
        skip = len(BOM) if head.startswith(BOM) else 0
        head = head[skip:]
        if not head.strip():
            raise SourceEmpty(f"{name} has no bytes; remove it or fill it", source=name)
        found = find_records(head, self._dialect, last=last)
        first = next(iter(found.blank.not_().arg_true().to_list()), None)
        if first is None:
            text = f"{name}: no record in its first {HEAD >> 20} MiB; allowed is a header"
            raise SourceMalformed(text, source=name, file=name)
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

    def records(
        self, stream: Stream, begun: bytes, name: str, step: int
    ) -> Iterator[tuple[Records, bytes]]:
        """Yield `begun` and a stream as blocks of whole records, and where the records are."""
        rest, last = begun, False
        while not last:
            data = stream.read(step)
            last = not data
            block = rest + data
            found = find_records(block, self._dialect, last=last)
            rest = block[found.complete_bytes :]
            if len(rest) > LONGEST_RECORD:
                text = f"{name}: a record of more than 64 MiB; a quote may be left open"
                raise SourceMalformed(text, source=name, file=name)
            if found.complete_bytes:
                yield found, block[: found.complete_bytes]

    def read_stream(self, stream: Stream, name: str, reading: Reading) -> Iterator[RawBatch]:
        """Yield the records of a whole text, which begins with its header, as texts.

        Args:
            stream: UTF-8, with or without byte order mark.
            name: Of the file.
            reading: As what it is read.

        Raises:
            ServiceError: as `header_of`, `match` and the stream raise; SourceMalformed for a record
                of more than 64 MiB.
            Cancelled: `reading.cancelled` was set.
        """
        head = read_fully(stream, HEAD)
        header, begin = self.header_of(head, name, last=len(head) < HEAD)
        yield from self.read(stream, head[begin:], header, 0, name, reading)

    def read(
        self,
        stream: Stream,
        begun: bytes,
        header: list[str],
        first: int,
        name: str,
        reading: Reading,
    ) -> Iterator[RawBatch]:
        matched = match(name, header, reading.columns)
        for found, block in self.records(stream, begun, name, self.block_bytes):
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

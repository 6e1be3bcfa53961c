"""Delimited text from any stream: read as texts, record by record where they are odd."""

import json
from collections.abc import Iterator, Sequence
from typing import Final, Protocol, TypeVar

import numpy as np
import polars as pl

from services.ingest.failures import Cancelled, SourceEmpty, SourceMalformed
from services.ingest.sources.cells import split
from services.ingest.sources.counting import Counted, count_records
from services.ingest.sources.csv_frame import BOM, Mask, frame_of, texts_of, undecodable
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.marks import Positions
from services.ingest.sources.records import Dialect, Records, find_records
from services.ingest.sources.source import RawBatch, Reading, Reject

BLOCK: Final = 4 * 1024 * 1024
HEAD: Final = 4 * 1024 * 1024
"""In which a header must end."""
LONGEST_RECORD: Final = 64 * 1024 * 1024
BROKEN: Final = (
    "a quote or carriage return where RFC 4180 allows none, or text of a cell that such a quote may "
    "close; allowed are quotes around a whole cell, doubled inside of it"
)
NO_UTF8: Final = "bytes that are no UTF-8; allowed is UTF-8"


class _Complete(Protocol):
    """What was found in a block: `complete_bytes` up to the end of its last whole record."""

    @property
    def complete_bytes(self) -> int: ...


_Found = TypeVar("_Found", bound=_Complete)
_FoundIn_co = TypeVar("_FoundIn_co", bound=_Complete, covariant=True)


class _Find(Protocol[_FoundIn_co]):
    """Finds something in a block that begins at a record's start."""

    def __call__(self, block: bytes, dialect: Dialect, *, last: bool) -> _FoundIn_co: ...


class Stream(Protocol):
    """Bytes that are read once, in order."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes, none at the end."""
        ...


class Views(Protocol):
    """A stream that may give views of bytes, which are copied only once then: into a block."""

    def read(self, size: int, /) -> bytes | memoryview:
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


class Rejoined:
    """Bytes that were read of a stream, and what follows them."""

    def __init__(self, begun: bytes, stream: Views) -> None:
        self._begun = memoryview(begun)
        self._stream = stream

    def read(self, size: int, /) -> bytes | memoryview:
        if not self._begun:
            return self._stream.read(size)
        data, self._begun = self._begun[:size], self._begun[size:]
        return data


def read_fully(stream: Views, size: int) -> bytes:
    """Return `size` bytes of a stream, fewer only if it ends."""
    parts: list[bytes | memoryview] = []
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
        first = int(np.argmin(found.blank)) if found.count else None
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

    def counted(self, stream: Views, name: str, step: int) -> Iterator[Counted]:
        """Count the records of a stream, block by block."""
        for counted, _ in self._blocks(stream, name, step, count_records):
            yield counted

    def _blocks(
        self, stream: Views, name: str, step: int, find: _Find[_Found]
    ) -> Iterator[tuple[_Found, bytes]]:
        """Yield what is found in a stream, with the blocks of whole records."""
        rest, last = b"", False
        while not last:
            data = stream.read(max(step, min(len(rest), self.block_bytes)))
            last = not data
            block = rest + data
            del data
            if not block:
                return
            found = find(block, self._dialect, last=last)
            rest = block[found.complete_bytes :]
            if len(rest) > LONGEST_RECORD:
                text = f"{name}: a record of more than 64 MiB; a quote may be left open"
                raise SourceMalformed(text, source=name, file=name)
            if found.complete_bytes:
                yield found, block
            del found, block  # before more is read

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
        yield from self.read(Rejoined(head[begin:], stream), header, 0, name, reading)

    def read(
        self,
        stream: Views,
        header: list[str],
        first: int,
        name: str,
        reading: Reading,
    ) -> Iterator[RawBatch]:
        matched = match(name, header, reading.columns)
        for found, block in self._blocks(stream, name, self.block_bytes, find_records):
            if reading.cancelled.is_set():
                raise Cancelled
            whole = block[: found.complete_bytes]
            yield self._batch(found, whole, first, header, matched, reading)
            first += found.count
            del found, block, whole  # before more is read

    def _batch(
        self,
        found: Records,
        block: bytes,
        first: int,
        header: list[str],
        matched: Matched,
        reading: Reading,
    ) -> RawBatch:
        kept = ~found.blank
        numbers = first - 1 + np.cumsum(kept, dtype=np.int64)
        bad = found.bad
        ragged = kept & ~bad & (found.cells != len(header))
        no_utf8 = undecodable(block, found) & ~(bad | ragged)
        whole = kept & ~(bad | ragged | no_utf8)
        frame = frame_of(block, found, whole, header, self._dialect)

        def raw_rows(indexes: Sequence[int]) -> list[str]:
            return [json.dumps(frame.row(i, named=True), ensure_ascii=False) for i in indexes]

        return RawBatch(
            rows=matched.rows(self._nulled(frame), reading.columns),
            row_numbers=pl.Series(numbers[whole]),
            raw_rows=raw_rows,
            rejects=(
                *_malformed(numbers[bad], BROKEN, texts_of(block, found, bad)),
                *_ragged(numbers, found, ragged, len(header), block),
                *_malformed(numbers[no_utf8], NO_UTF8, texts_of(block, found, no_utf8)),
            ),
            read_bytes=found.complete_bytes,
        )

    def _nulled(self, frame: pl.DataFrame) -> pl.DataFrame:
        if not self._nulls:
            return frame
        null = pl.all().is_in(pl.lit(pl.Series(self._nulls, dtype=pl.String)).implode())
        return frame.select(pl.when(~null).then(pl.all()))


def _malformed(numbers: Positions, what: str, texts: Sequence[bytes]) -> Iterator[Reject]:
    for number, text in zip(numbers.tolist(), texts, strict=True):
        yield Reject(row_number=number, kind="MALFORMED", detail=f"found {what}", raw=_shown(text))


def _ragged(
    numbers: Positions, found: Records, which: Mask, wanted: int, block: bytes
) -> Iterator[Reject]:
    texts = texts_of(block, found, which)
    counts = found.cells[which].tolist()
    for number, count, text in zip(numbers[which].tolist(), counts, texts, strict=True):
        detail = f"found {count} cells; allowed are {wanted}, as the header has"
        yield Reject(row_number=number, kind="RAGGED", detail=detail, raw=_shown(text))


def _shown(text: bytes) -> str:
    return text.decode("utf-8", errors="replace")

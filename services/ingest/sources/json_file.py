"""NDJSON files: one object a line, numbers kept as text."""

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from services.ingest import exact_json
from services.ingest.chunks import ByteRange, Chunk, Input, chunk_of
from services.ingest.failures import Cancelled, SourceEmpty, SourceMalformed
from services.ingest.sources.csv_reader import Limited, Stream
from services.ingest.sources.objects import Objects
from services.ingest.sources.source import RawBatch, Reading, Reject, Splitting
from services.ingest.stores.store import Blob

BLOCK: Final = 4 * 1024 * 1024
SMALLEST_STEP: Final = 4096
LONGEST_LINE: Final = 64 * 1024 * 1024
BOM: Final = b"\xef\xbb\xbf"


class JsonFile:
    """One file of JSON objects, one a line; `block_bytes` is how much is read at once, at most."""

    def __init__(self, blob: Blob, *, block_bytes: int = BLOCK) -> None:
        self._blob = blob
        self._block_bytes = min(block_bytes, BLOCK)

    def plan(self, input_: Input, splitting: Splitting) -> list[Chunk]:
        """Cut the file at line breaks into chunks of about `chunk_bytes`."""
        chunks = []
        start, first, count, position = 0, 0, 0, 0
        step = min(self._block_bytes, max(SMALLEST_STEP, splitting.chunk_bytes))
        for lines, size in self._blocks(0, input_.size_bytes, input_.input_id, step):
            if splitting.cancelled.is_set():
                raise Cancelled
            position += size
            count += len(lines)
            if count and position - start >= splitting.chunk_bytes - step // 2:
                chunks.append(_chunk(input_, start, position, first, count, splitting))
                start, first, count = position, first + count, 0
        if count:
            chunks.append(_chunk(input_, start, position, first, count, splitting))
        if not chunks:
            text = f"{input_.input_id} has no row; remove or fill it"
            raise SourceEmpty(text, source=input_.input_id)
        return chunks

    def _blocks(
        self, start: int, end: int, name: str, step: int
    ) -> Iterator[tuple[list[bytes], int]]:
        with self._blob.stream(start, end) as file:
            yield from _blocks(Limited(file, end - start), name, step, start=start)

    def read(self, chunk: Chunk, part: ByteRange, reading: Reading) -> Iterator[RawBatch]:
        """Yield the objects of a chunk as texts."""
        name = chunk.input.input_id
        blocks = self._blocks(part.start, part.end, name, self._block_bytes)
        yield from _batches(blocks, part.first_row_number, reading)


def read_stream(
    stream: Stream, name: str, reading: Reading, block_bytes: int
) -> Iterator[RawBatch]:
    """Yield the objects of a whole text in UTF-8 as texts. Raises as `JsonFile.read`."""
    yield from _batches(_blocks(stream, name, block_bytes, start=0), 0, reading)


def _blocks(
    stream: Stream, name: str, step: int, *, start: int
) -> Iterator[tuple[list[bytes], int]]:
    """Yield the lines of blocks, blank ones left out, and how many bytes each block has.

    `start` is where the stream begins in the text: a byte order mark at 0 is none of it.
    """
    rest, last = b"", False
    while not last:
        data = stream.read(step)
        last = not data
        block = rest + data
        complete = len(block) if last else block.rfind(b"\n") + 1
        rest = block[complete:]
        if len(rest) > LONGEST_LINE:
            raise SourceMalformed(f"{name}: a line of more than 64 MiB", source=name, file=name)
        if complete:
            whole = block[:complete]
            yield _lines(whole.removeprefix(BOM) if start == 0 else whole), complete
            start += complete


def _batches(
    blocks: Iterator[tuple[list[bytes], int]], number: int, reading: Reading
) -> Iterator[RawBatch]:
    objects = Objects(reading.columns)
    for lines, size in blocks:
        if reading.cancelled.is_set():
            raise Cancelled
        yield batch(lines, number, objects, size)
        number += len(lines)


def _lines(block: bytes) -> list[bytes]:
    return [line for line in block.split(b"\n") if line.strip()]


def _chunk(
    input_: Input, start: int, end: int, first: int, count: int, splitting: Splitting
) -> Chunk:
    part = ByteRange(start=start, end=end, first_row_number=first)
    return chunk_of(
        input_,
        part,
        splitting.spec_hash,
        estimated_bytes=end - start,
        expected_row_count=count,
    )


def batch(lines: Sequence[bytes], first: int, objects: Objects, size: int) -> RawBatch:
    """Return lines as a batch; what is no object is rejected."""
    rows: list[list[str | None]] = []
    numbers: list[int] = []
    texts: list[str] = []
    rejects = []
    for number, line in enumerate(lines, first):
        try:
            text = line.decode().strip()
            rows.append(_row(text, objects))
        except ValueError as error:
            rejects.append(_reject(number, error, line))
            continue
        numbers.append(number)
        texts.append(text)
    return RawBatch(
        rows=objects.frame(rows),
        row_numbers=pl.Series(numbers, dtype=pl.Int64),
        raw_rows=lambda indexes: [texts[i] for i in indexes],
        rejects=tuple(rejects),
        read_bytes=size,
    )


def _row(text: str, objects: Objects) -> list[str | None]:
    found = exact_json.loads(text)
    if not isinstance(found, dict):
        raise ValueError(f"the line is no object but {text[:20]}")
    return objects.row(found)


def _reject(number: int, error: ValueError, line: bytes) -> Reject:
    why = "bytes that are no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    detail = f"found no JSON object ({why}); allowed is one object a line"
    raw = line.decode("utf-8", errors="replace").strip()
    return Reject(row_number=number, kind="MALFORMED", detail=detail, raw=raw)

"""NDJSON: one object a line, numbers kept as text; files are cut at line breaks."""

from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Final

from services.ingest.chunks import ByteRange, Chunk, Input, chunk_of
from services.ingest.failures import Cancelled, SourceEmpty
from services.ingest.sources.csv_reader import Limited, Stream
from services.ingest.sources.lines import Records, find_lines, whole_lines
from services.ingest.sources.nested_values import FEWEST
from services.ingest.sources.object_reader import ObjectReader
from services.ingest.sources.source import RawBatch, Reading, Splitting
from services.ingest.stores.store import Blob

BLOCK: Final = 4 * 1024 * 1024
SMALLEST_STEP: Final = 4096


class NdjsonReader:
    """Reads lines of any stream of UTF-8; `block_bytes` is how much is read at once, at most."""

    def __init__(self, *, block_bytes: int = BLOCK, fewest: int = FEWEST) -> None:
        self.block_bytes = min(block_bytes, BLOCK)
        self._fewest = fewest

    def read_stream(self, stream: Stream, name: str, reading: Reading) -> Iterator[RawBatch]:
        """Yield the objects of a whole text as texts.

        Args:
            stream: UTF-8, with or without byte order mark.
            name: Of the file.
            reading: As what it is read.

        Raises:
            ServiceError: as the stream raises; SourceMalformed for a line of more than 64 MiB.
            Cancelled: `reading.cancelled` was set.
        """
        yield from self.read(stream, name, reading, first=0, begins=True)

    def read(
        self, stream: Stream, name: str, reading: Reading, *, first: int, begins: bool
    ) -> Iterator[RawBatch]:
        """Yield lines from row number `first` on; `begins` says that a mark may come before them."""
        objects = ObjectReader(reading.columns, fewest=self._fewest)
        for lines in whole_lines(stream, name, self.block_bytes):
            if reading.cancelled.is_set():
                raise Cancelled
            block = lines.removeprefix(BOM_UTF8) if begins else lines
            begins = False
            starts, ends = find_lines(block)
            yield objects.batch(Records(block, starts, ends), first, len(lines))
            first += len(starts)


class NdjsonFile:
    """One file of lines."""

    def __init__(self, blob: Blob, reader: NdjsonReader) -> None:
        self._blob = blob
        self._reader = reader

    def plan(self, input_: Input, splitting: Splitting) -> list[Chunk]:
        """Cut the file at line breaks into chunks of about `chunk_bytes`."""
        chunks = []
        start, first, count, position = 0, 0, 0, 0
        step = min(self._reader.block_bytes, max(SMALLEST_STEP, splitting.chunk_bytes))
        with self._blob.stream(0, input_.size_bytes) as file:
            for lines in whole_lines(Limited(file, input_.size_bytes), input_.input_id, step):
                if splitting.cancelled.is_set():
                    raise Cancelled
                block = lines if position else lines.removeprefix(BOM_UTF8)
                position += len(lines)
                count += len(find_lines(block)[0])
                if count and position - start >= splitting.chunk_bytes - step // 2:
                    chunks.append(_chunk(input_, start, position, first, count, splitting))
                    start, first, count = position, first + count, 0
        if count:
            chunks.append(_chunk(input_, start, position, first, count, splitting))
        if not chunks:
            text = f"{input_.input_id} has no row; remove or fill it"
            raise SourceEmpty(text, source=input_.input_id)
        return chunks

    def read(self, chunk: Chunk, part: ByteRange, reading: Reading) -> Iterator[RawBatch]:
        """Yield the objects of a chunk as texts."""
        with self._blob.stream(part.start, part.end) as file:
            stream = Limited(file, part.end - part.start)
            yield from self._reader.read(
                stream,
                chunk.input.input_id,
                reading,
                first=part.first_row_number,
                begins=part.start == 0,
            )


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

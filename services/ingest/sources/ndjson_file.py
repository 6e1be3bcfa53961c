"""NDJSON: one object a line, numbers kept as text; files are cut at line breaks."""

import dataclasses
from codecs import BOM_UTF8
from collections.abc import Iterator
from typing import Final

from services.ingest.chunks import ByteRange, Chunk, Input, cut_of
from services.ingest.failures import Cancelled, SourceEmpty
from services.ingest.sources.csv_reader import Limited, Stream, Views
from services.ingest.sources.lines import Records, find_lines, whole_lines
from services.ingest.sources.nested_values import FEWEST
from services.ingest.sources.object_reader import ObjectReader
from services.ingest.sources.source import RawBatch, Reading, Splitting
from services.ingest.stores.hashing import hashing
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
        """Cut the file at line breaks into chunks of about `chunk_bytes`.

        The file is read once; an input without a content hash gets one.
        """
        name = input_.input_id
        with hashing(self._blob, name) as stream:
            parts = list(self._parts(stream, name, splitting))
            content = input_.content_hash or stream.content_hash(splitting.cancelled)
        if not parts:
            raise SourceEmpty(f"{name} has no row; remove or fill it", source=name)
        known = dataclasses.replace(input_, content_hash=content)
        return [cut_of(known, part, count, splitting.spec_hash) for part, count in parts]

    def _parts(
        self, stream: Views, name: str, splitting: Splitting
    ) -> Iterator[tuple[ByteRange, int]]:
        start, first, count, position = 0, 0, 0, 0
        step = min(self._reader.block_bytes, max(SMALLEST_STEP, splitting.chunk_bytes))
        for lines in whole_lines(stream, name, step):
            if splitting.cancelled.is_set():
                raise Cancelled
            block = lines if position else lines.removeprefix(BOM_UTF8)
            position += len(lines)
            count += len(find_lines(block)[0])
            if count and position - start >= splitting.chunk_bytes - step // 2:
                yield ByteRange(start=start, end=position, first_row_number=first), count
                start, first, count = position, first + count, 0
        if count:
            yield ByteRange(start=start, end=position, first_row_number=first), count

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

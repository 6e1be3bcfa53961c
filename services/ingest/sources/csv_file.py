"""CSV files: cut at record boundaries, each part read as the file is."""

import dataclasses
from collections.abc import Iterator
from typing import Final

from services.ingest.chunks import ByteRange, Chunk, Input, cut_of
from services.ingest.failures import Cancelled, SourceEmpty
from services.ingest.sources.csv_reader import (
    HEAD,
    CsvReader,
    Limited,
    Rejoined,
    Views,
    read_fully,
)
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.source import RawBatch, Reading, Splitting
from services.ingest.stores.hashing import hashing
from services.ingest.stores.store import Blob

SMALLEST_STEP: Final = 4096


class CsvFile:
    """One file, and how its records are read."""

    def __init__(self, blob: Blob, reader: CsvReader) -> None:
        self._blob = blob
        self._reader = reader

    def plan(self, input_: Input, splitting: Splitting) -> tuple[list[Chunk], Matched]:
        """Cut the file into chunks of about `chunk_bytes`, each ending where a record ends.

        The file is read once; an input without a content hash gets one.
        """
        name = input_.input_id
        with hashing(self._blob, name) as stream:
            head = read_fully(stream, HEAD)
            header, begin = self._reader.header_of(head, name, last=len(head) < HEAD)
            matched = match(name, header, splitting.columns)
            rest = Rejoined(head[begin:], stream)
            parts = list(self._parts(rest, begin, name, splitting, tuple(header)))
            content = input_.content_hash or stream.content_hash(splitting.cancelled)
        if not parts:
            text = f"{name} has a header and no row; remove it or fill it"
            raise SourceEmpty(text, source=name)
        known = dataclasses.replace(input_, content_hash=content)
        return [cut_of(known, part, count, splitting.spec_hash) for part, count in parts], matched

    def _parts(
        self,
        stream: Views,
        begin: int,
        name: str,
        splitting: Splitting,
        header: tuple[str, ...],
    ) -> Iterator[tuple[ByteRange, int]]:
        chunk_bytes = splitting.chunk_bytes
        start, first, count, position = begin, 0, 0, begin
        step = min(self._reader.block_bytes, max(SMALLEST_STEP, chunk_bytes))
        for counted in self._reader.counted(stream, name, step):
            if splitting.cancelled.is_set():
                raise Cancelled
            count += counted.count
            position += counted.complete_bytes
            if count and position - start >= chunk_bytes - step // 2:
                yield _range(start, position, first, header), count
                start, first, count = position, first + count, 0
        if count:
            yield _range(start, position, first, header), count

    def read(self, chunk: Chunk, part: ByteRange, reading: Reading) -> Iterator[RawBatch]:
        """Yield the records of a chunk as texts."""
        name = chunk.input.input_id
        with self._blob.stream(part.start, part.end) as file:
            stream = Limited(file, part.end - part.start)
            first, header = part.first_row_number, list(part.header)
            yield from self._reader.read(stream, header, first, name, reading)


def _range(start: int, end: int, first: int, header: tuple[str, ...]) -> ByteRange:
    return ByteRange(start=start, end=end, first_row_number=first, header=header)

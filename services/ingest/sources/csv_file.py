"""CSV files: cut at record boundaries, each part read as the file is."""

from collections.abc import Iterator
from typing import Final

from services.ingest.chunks import ByteRange, Chunk, Input, chunk_of
from services.ingest.failures import Cancelled, SourceEmpty
from services.ingest.sources.csv_reader import HEAD, CsvReader, Limited, read_fully
from services.ingest.sources.headers import Matched, match
from services.ingest.sources.records import Records
from services.ingest.sources.source import RawBatch, Reading, Splitting
from services.ingest.stores.store import Blob

SMALLEST_STEP: Final = 4096


class CsvFile:
    """One file, and how its records are read."""

    def __init__(self, blob: Blob, reader: CsvReader) -> None:
        self._blob = blob
        self._reader = reader

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
            head = read_fully(file, HEAD)
        return self._reader.header_of(head, name, last=len(head) < HEAD)

    def _parts(
        self, input_: Input, begin: int, splitting: Splitting, header: tuple[str, ...]
    ) -> Iterator[tuple[ByteRange, int]]:
        chunk_bytes = splitting.chunk_bytes
        start, first, count, position = begin, 0, 0, begin
        step = min(self._reader.block_bytes, max(SMALLEST_STEP, chunk_bytes))
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
            yield from self._reader.records(Limited(file, end - start), b"", name, step)

    def read(self, chunk: Chunk, part: ByteRange, reading: Reading) -> Iterator[RawBatch]:
        """Yield the records of a chunk as texts."""
        name = chunk.input.input_id
        with self._blob.stream(part.start, part.end) as file:
            stream = Limited(file, part.end - part.start)
            first, header = part.first_row_number, list(part.header)
            yield from self._reader.read(stream, b"", header, first, name, reading)


def _range(start: int, end: int, first: int, header: tuple[str, ...]) -> ByteRange:
    return ByteRange(start=start, end=end, first_row_number=first, header=header)

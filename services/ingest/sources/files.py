"""The `file` source: files of one format in a store."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from services.ingest.chunks import (
    ByteRange,
    Chunk,
    Input,
    Plan,
    RowGroups,
    WholeFile,
    chunk_of,
    fewer,
)
from services.ingest.columns import TargetColumn
from services.ingest.contract import columns_broken
from services.ingest.failures import Cancelled, ColumnMissing, SourceEmpty, SourceMalformed
from services.ingest.sources import deliveries
from services.ingest.sources.csv_file import CsvFile
from services.ingest.sources.csv_reader import BLOCK, HEAD, CsvReader
from services.ingest.sources.deliveries import Deliveries, Listed, counted
from services.ingest.sources.evolving import MOST_COLUMNS, UNKNOWN, evolved, joined, names_in
from services.ingest.sources.headers import match
from services.ingest.sources.json_file import JsonReader, Pages
from services.ingest.sources.manifests import Kind
from services.ingest.sources.ndjson_file import NdjsonFile, NdjsonReader
from services.ingest.sources.parquet_file import ParquetFile
from services.ingest.sources.records import Dialect
from services.ingest.sources.source import RawBatch, Reading, Splitting
from services.ingest.sources.streams import Coding, Compression, Encoding, open_text
from services.ingest.stores.hashing import content_hash
from services.ingest.stores.store import Blob, Store

MOST_CHUNKS: Final = 2000
"""Most chunks of a plan: each has a stream, and a project may open 10,000 an hour."""

HEADERS_BYTES: Final = 2 * 1024 * 1024
"""What headers may take in a plan, where every chunk of a CSV file repeats that of its file."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files of a tenant.

    store: Where they are.
    path: A glob in the store.
    manifest: Whose manifests the glob matches; None: it matches the files themselves.
    compression: Of every file; None means by the ending of its name.
    encoding: Of every file's text.
    block_bytes: What is read at once.
    most_chunks: Of a plan, beside one for each file.
    """

    store: Store
    path: str
    format: Literal["csv", "ndjson", "json", "parquet"]
    dialect: Dialect = dataclasses.field(default_factory=Dialect)
    null_values: tuple[str, ...] = ()
    manifest: Kind | None = None
    pages: Pages = dataclasses.field(default_factory=Pages)
    compression: Compression | None = None
    encoding: Encoding = "utf-8"
    block_bytes: int = BLOCK
    most_chunks: int = MOST_CHUNKS

    def plan(self, splitting: Splitting) -> Plan:
        """Split every file that the glob matches, or that the newest manifests name, in order of path.

        Chunks are as large as asked for, or larger so that they are not too many.
        """
        cancelled = splitting.cancelled
        found = Deliveries()
        if self.manifest is not None:
            found = deliveries.find(self.store, self.path, self.manifest, cancelled)
            inputs = [file.input for file in found.files]
        else:
            inputs = self.store.find(self.path, cancelled)
        listed = {file.input.input_id: file for file in found.files}
        least = sum(input_.size_bytes for input_ in inputs) // self.most_chunks
        wanted = dataclasses.replace(splitting, chunk_bytes=max(splitting.chunk_bytes, least))
        chunks: list[Chunk] = []
        extra: list[Mapping[str, str]] = []
        for input_ in inputs:
            if cancelled.is_set():
                raise Cancelled
            cut, unknown = self._split_listed(input_, listed.get(input_.input_id), wanted)
            chunks += cut
            extra.append(unknown)
        if not chunks and not found.names:
            raise SourceEmpty(f"{self.path}: no row in any file", source=self.path)
        whole = fewer(chunks, self._most(chunks), splitting.spec_hash)
        types = joined(extra)
        return Plan(
            chunks=tuple(whole),
            extra_columns=tuple(types),
            evolved_columns=self._evolved(types, splitting),
            deliveries=found.names,
        )

    def _evolved(self, extra: Mapping[str, str], splitting: Splitting) -> tuple[TargetColumn, ...]:
        """Return what columns that the schema lacks would become. Raises ContractBroken."""
        if extra and splitting.unknown == "freeze":
            raise columns_broken(self.path, tuple(extra))
        return evolved(self.path, extra) if splitting.unknown == "evolve" else ()

    def _most(self, chunks: Sequence[Chunk]) -> int:
        """Return how many chunks a plan may have: fewer where their headers are long."""
        headers = {chunk.part.header for chunk in chunks if isinstance(chunk.part, ByteRange)}
        sizes = (sum(len(name.encode()) + 6 for name in header) for header in headers)
        return max(1, min(self.most_chunks, HEADERS_BYTES // max((1, *sizes))))

    def _split_listed(
        self, input_: Input, of: Listed | None, splitting: Splitting
    ) -> tuple[list[Chunk], Mapping[str, str]]:
        """Split a file, which may have no row and must have as many as its manifest says, if one names it."""
        try:
            chunks, extra = self._planned(input_, splitting)
        except SourceEmpty:
            if of is None:
                raise
            chunks, extra = [], {}
        return chunks if of is None else counted(chunks, of), extra

    def _planned(
        self, input_: Input, splitting: Splitting
    ) -> tuple[list[Chunk], Mapping[str, str]]:
        """Split one file, and find the types of columns that the schema lacks, by name.

        Raises SourceChanged if it is written meanwhile.
        """
        blob = self.store.open(input_)
        try:
            found = self._split(blob, input_, splitting)
        except (SourceMalformed, SourceEmpty, ColumnMissing):
            self.store.check(input_)
            raise
        if not input_.content_hash:
            self.store.check(input_)
        return found

    def _split(
        self, blob: Blob, input_: Input, splitting: Splitting
    ) -> tuple[list[Chunk], Mapping[str, str]]:
        plain = self._coding(input_).plain
        if plain and self.format == "csv":
            chunks, matched = self._csv(blob).plan(input_, splitting)
            return chunks, dict.fromkeys(matched.extra, "STRING")
        if plain and self.format == "ndjson":
            chunks = self._ndjson(blob).plan(input_, splitting)
            return chunks, dict.fromkeys(self._fields(blob, chunks, splitting), "STRING")
        if not input_.content_hash:
            content = content_hash(blob, input_.input_id, splitting.cancelled)
            input_ = dataclasses.replace(input_, content_hash=content)
        if self.format == "parquet":
            return ParquetFile(blob).plan(input_, splitting)
        chunks, names = self._whole(blob, input_, splitting)
        if self.format != "csv":
            names = self._fields(blob, chunks, splitting)
        return chunks, dict.fromkeys(names, "STRING")

    def _fields(self, blob: Blob, chunks: Sequence[Chunk], splitting: Splitting) -> tuple[str, ...]:
        """Read all records for the names of fields that the schema lacks, if they become columns."""
        if splitting.unknown != "evolve":
            return ()
        columns = (*splitting.columns, UNKNOWN)
        reading = Reading(columns=columns, cancelled=splitting.cancelled)
        found: dict[str, None] = {}
        for chunk in chunks:
            for batch in self._read(blob, chunk, reading):
                found |= dict.fromkeys(names_in(batch.rows[UNKNOWN.name]))
                if len(found) > MOST_COLUMNS:
                    return tuple(found)
        return tuple(found)

    def _whole(
        self, blob: Blob, input_: Input, splitting: Splitting
    ) -> tuple[list[Chunk], tuple[str, ...]]:
        """Return a file that cannot be cut as one chunk; only its beginning is looked at."""
        name = input_.input_id
        with open_text(blob, name, self._coding(input_)) as text:
            head = text.read(HEAD)
        last, extra = len(head) < HEAD, tuple[str, ...]()
        records = head.strip()
        if self.format == "csv":
            header, begin = self._csv_reader().header_of(head, name, last=last)
            extra = match(name, header, splitting.columns).extra
            records = head[begin:].strip(b"\r\n")
        size = input_.size_bytes
        whole = chunk_of(input_, WholeFile(), splitting.spec_hash, estimated_bytes=size)
        brackets_only = self.format == "json" and last and not self._records(blob, whole, splitting)
        if last and (not records or brackets_only):
            raise SourceEmpty(f"{name} has no row; remove or fill it", source=name)
        return [whole], extra

    def _records(self, blob: Blob, whole: Chunk, splitting: Splitting) -> bool:
        """Return whether a small file has a record."""
        reading = Reading(columns=splitting.columns, cancelled=splitting.cancelled)
        batches = self._read(blob, whole, reading)
        return any(batch.rows.height or batch.rejects for batch in batches)

    def _coding(self, input_: Input) -> Coding:
        return Coding.of(input_.input_id, self.compression, self.encoding)

    def _csv(self, blob: Blob) -> CsvFile:
        return CsvFile(blob, self._csv_reader())

    def _csv_reader(self) -> CsvReader:
        return CsvReader(self.dialect, self.null_values, block_bytes=self.block_bytes)

    def _ndjson(self, blob: Blob) -> NdjsonFile:
        return NdjsonFile(blob, self._ndjson_reader())

    def _ndjson_reader(self) -> NdjsonReader:
        return NdjsonReader(block_bytes=self.block_bytes)

    def read(self, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        """Yield the rows of a chunk. Raises SourceChanged if its file is not as it was planned."""
        blob = self.store.open(chunk.input)
        try:
            yield from self._read(blob, chunk, reading)
        except SourceMalformed:
            self.store.check(chunk.input)
            raise
        self.store.check(chunk.input)

    def _read(self, blob: Blob, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        if isinstance(chunk.part, RowGroups):
            yield from ParquetFile(blob).read(chunk, chunk.part, reading)
        elif isinstance(chunk.part, ByteRange) and self.format == "csv":
            yield from self._csv(blob).read(chunk, chunk.part, reading)
        elif isinstance(chunk.part, ByteRange):
            yield from self._ndjson(blob).read(chunk, chunk.part, reading)
        elif isinstance(chunk.part, WholeFile):
            yield from self._read_whole(blob, chunk, reading)

    def _read_whole(self, blob: Blob, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        name, taken = chunk.input.input_id, 0
        with open_text(blob, name, self._coding(chunk.input)) as text:
            if self.format == "csv":
                batches = self._csv_reader().read_stream(text, name, reading)
            elif self.format == "json":
                batches = JsonReader(self.pages, block_bytes=self.block_bytes).read_stream(
                    text, name, reading
                )
            else:
                batches = self._ndjson_reader().read_stream(text, name, reading)
            for batch in batches:
                before, taken = taken, text.taken_bytes
                yield dataclasses.replace(batch, read_bytes=taken - before)

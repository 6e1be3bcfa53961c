"""The `file` source: files of one format below the tenant's folder."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from services.ingest.chunks import ByteRange, Chunk, Input, Plan, RowGroups
from services.ingest.failures import SourceEmpty
from services.ingest.sources.csv_file import BLOCK, CsvFile
from services.ingest.sources.json_file import JsonFile
from services.ingest.sources.parquet_file import ParquetFile
from services.ingest.sources.paths import describe, find_files, planned_file
from services.ingest.sources.records import Dialect
from services.ingest.sources.source import RawBatch, Reading, Splitting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """Files of a tenant; `path` is a glob below its folder, `block_bytes` what is read at once."""

    root: Path
    tenant: str
    path: str
    format: Literal["csv", "ndjson", "parquet"]
    dialect: Dialect = dataclasses.field(default_factory=Dialect)
    null_values: tuple[str, ...] = ()
    block_bytes: int = BLOCK

    def plan(self, splitting: Splitting) -> Plan:
        """Split every file that the glob matches, in order of path."""
        chunks: list[Chunk] = []
        extra: dict[str, None] = {}
        for path in find_files(self.root, self.tenant, self.path):
            found, unknown = self._split(path, describe(self.root, self.tenant, path), splitting)
            chunks += found
            extra |= dict.fromkeys(unknown)
        if not chunks:
            raise SourceEmpty(f"{self.path}: no row in any file", source=self.path)
        return Plan(chunks=tuple(chunks), extra_columns=tuple(extra))

    def _split(
        self, path: Path, input_: Input, splitting: Splitting
    ) -> tuple[list[Chunk], tuple[str, ...]]:
        if self.format == "csv":
            chunks, matched = self._csv(path).plan(input_, splitting)
            return chunks, matched.extra
        if self.format == "parquet":
            chunks, matched = ParquetFile(path).plan(input_, splitting)
            return chunks, matched.extra
        return self._json(path).plan(input_, splitting), ()

    def _csv(self, path: Path) -> CsvFile:
        return CsvFile(path, self.dialect, self.null_values, block_bytes=self.block_bytes)

    def _json(self, path: Path) -> JsonFile:
        return JsonFile(path, block_bytes=self.block_bytes)

    def read(self, chunk: Chunk, reading: Reading) -> Iterator[RawBatch]:
        """Yield the rows of a chunk. Raises SourceChanged if its file is not as it was planned."""
        path = planned_file(self.root, self.tenant, chunk.input)
        if isinstance(chunk.part, RowGroups):
            yield from ParquetFile(path).read(chunk, chunk.part, reading)
        elif isinstance(chunk.part, ByteRange) and self.format == "csv":
            yield from self._csv(path).read(chunk, chunk.part, reading)
        elif isinstance(chunk.part, ByteRange):
            yield from self._json(path).read(chunk, chunk.part, reading)
        planned_file(self.root, self.tenant, chunk.input)

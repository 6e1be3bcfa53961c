"""A file of a tenant, planned and read to its end, as a worker reads it."""

import dataclasses
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from services.ingest.casting.cast import CastBatch
from services.ingest.chunks import Chunk, Plan
from services.ingest.columns import TargetColumn
from services.ingest.sources.csv_reader import BLOCK
from services.ingest.sources.files import Files
from services.ingest.sources.records import Dialect
from services.ingest.sources.source import RawBatch, Reading, Reject, Source, Splitting
from services.ingest.stores.local_files import LocalFiles
from services.ingest.verdicts import Verdicts

Format = Literal["csv", "ndjson", "json", "parquet"]
Row = tuple[str | None, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a source gave: rows and rejects by row number, in the order of chunks."""

    plan: Plan
    rows: list[tuple[int, Row]]
    rejects: list[Reject]
    batches: list[RawBatch]

    @property
    def texts(self) -> list[Row]:
        return [row for _, row in self.rows]

    @property
    def numbers(self) -> list[int]:
        return sorted([n for n, _ in self.rows] + [reject.row_number for reject in self.rejects])


def lost(found: CastBatch) -> dict[int, list[str]]:
    """Return the reasons of rows that are lost by what does not fit."""
    verdicts = Verdicts()
    verdicts.misfits(found.misfits)
    return verdicts.reasons


def columns(*specs: str) -> tuple[TargetColumn, ...]:
    """Return columns written as `name`, `name TYPE` or `name TYPE MODE`."""
    return tuple(_column(*spec.split()) for spec in specs)


def _column(name: str, type_: str = "STRING", mode: str = "NULLABLE") -> TargetColumn:
    return TargetColumn.parse(name, type_, mode)


def splitting(wanted: Sequence[TargetColumn], chunk_bytes: int = BLOCK) -> Splitting:
    """Return how a source without time is split."""
    return Splitting(columns=tuple(wanted), window=None, chunk_bytes=chunk_bytes, spec_hash="spec")


def reading(wanted: Sequence[TargetColumn]) -> Reading:
    """Return how a chunk is read that nobody cancels."""
    return Reading(columns=tuple(wanted), cancelled=threading.Event())


def read_chunk(source: Source, chunk: Chunk, wanted: Sequence[TargetColumn]) -> list[RawBatch]:
    """Return the batches of a chunk."""
    return list(source.read(chunk, reading(wanted)))


def read_all(source: Source, wanted: Sequence[TargetColumn], chunk_bytes: int = BLOCK) -> Found:
    """Plan a source and read every chunk of the plan."""
    plan = source.plan(splitting(wanted, chunk_bytes))
    batches = [batch for chunk in plan.chunks for batch in read_chunk(source, chunk, wanted)]
    rows = [
        pair
        for batch in batches
        for pair in zip(batch.row_numbers.to_list(), batch.rows.rows(), strict=True)
    ]
    rejects = [reject for batch in batches for reject in batch.rejects]
    return Found(plan=plan, rows=rows, rejects=rejects, batches=batches)


def long_after() -> int:
    """Return a time by which no file was just written."""
    return time.time_ns() + 60 * 10**9


def files(root: Path, format_: Format, path: str = "f", **options: object) -> Files:
    """Return the file source of tenant `acme`."""
    store = LocalFiles(root, "acme", now=long_after)
    return Files(store=store, path=path, format=format_, **options)  # type: ignore[arg-type]


def read_bytes(
    format_: Format,
    data: bytes,
    wanted: Sequence[TargetColumn],
    *,
    chunk_bytes: int = BLOCK,
    block_bytes: int = BLOCK,
    dialect: Dialect | None = None,
    null_values: tuple[str, ...] = (),
) -> Found:
    """Read a file of these bytes."""
    with tempfile.TemporaryDirectory(prefix="ingest-") as folder:
        root = Path(folder)
        (root / "acme").mkdir()
        (root / "acme" / "f").write_bytes(data)
        source = files(
            root,
            format_,
            dialect=dialect or Dialect(),
            null_values=null_values,
            block_bytes=block_bytes,
        )
        return read_all(source, wanted, chunk_bytes)

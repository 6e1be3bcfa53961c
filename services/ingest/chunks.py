"""What a chunk is: a part of an input, named by a hash of what it reads and of the spec."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TypeAlias

from services.ingest.columns import TargetColumn


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What `append` counts once.

    content_hash: What tells contents apart, its kind before it: `blake3:` and the hash in
        hexadecimal, or what a store says of an object; APIs have none.
    size_bytes, change_time_nanos: As stored, and the last change since 1970; 0 for APIs.
    version: Which version it is: an object's etag or generation, of a file the last change of its
        entry in nanoseconds since 1970.
    delivery: What a newer manifest of the same replaces; empty for inputs that no manifest names.
    """

    input_id: str
    content_hash: str = ""
    size_bytes: int = 0
    change_time_nanos: int = 0
    version: str = ""
    delivery: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ByteRange:
    """Bytes [start, end) at record boundaries; `header` as the file has it, empty for NDJSON."""

    start: int
    end: int
    first_row_number: int
    header: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RowGroups:
    """Row groups [start, end) of a Parquet file."""

    start: int
    end: int
    first_row_number: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WholeFile:
    """A file as a whole: its records have no boundaries among its bytes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReportWindow:
    """A report over [start_time, end_time), UTC."""

    report: str
    start_time: datetime
    end_time: datetime


Part: TypeAlias = ByteRange | RowGroups | ReportWindow | WholeFile


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A unit of work. `expected_row_count` is None where the source does not say."""

    chunk_id: str
    input: Input
    part: Part
    estimated_bytes: int = 0
    expected_row_count: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A source, split. Columns are named as the schema has them, extra ones as the source has.

    `deliveries` are what manifests name, those without a file included.
    """

    chunks: tuple[Chunk, ...]
    extra_columns: tuple[str, ...] = ()
    evolved_columns: tuple[TargetColumn, ...] = ()
    """What extra columns would become, where the contract lets them."""
    deliveries: tuple[str, ...] = ()


def chunk_id(input_: Input, part: Part, spec_hash: str) -> str:
    """Return the id of a part: the same content, cut and spec have the same id on every attempt.

    The time of the file's last change is no part of it: a copy is the same content.
    """
    facts = {
        "input": [input_.input_id, input_.content_hash],
        "part": [type(part).__name__, {k: str(v) for k, v in dataclasses.asdict(part).items()}],
        "spec": spec_hash,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def chunk_of(
    input_: Input,
    part: Part,
    spec_hash: str,
    *,
    estimated_bytes: int = 0,
    expected_row_count: int | None = None,
) -> Chunk:
    """Return a chunk with its id."""
    return Chunk(
        chunk_id=chunk_id(input_, part, spec_hash),
        input=input_,
        part=part,
        estimated_bytes=estimated_bytes,
        expected_row_count=expected_row_count,
    )


def cut_of(input_: Input, part: ByteRange, row_count: int, spec_hash: str) -> Chunk:
    """Return a file's bytes as a chunk, of which it is known how many records they are."""
    return chunk_of(
        input_,
        part,
        spec_hash,
        estimated_bytes=part.end - part.start,
        expected_row_count=row_count,
    )


def fewer(chunks: Sequence[Chunk], most: int, spec_hash: str) -> list[Chunk]:
    """Join neighbours of a file until there are no more than `most` chunks, and one for each file."""
    if len(chunks) <= most:
        return list(chunks)
    width = max(1, -(-len(chunks) // most))
    joined: list[Chunk] = []
    for _, found in itertools.groupby(chunks, key=lambda chunk: chunk.input.input_id):
        parts = list(found)
        groups = (parts[i : i + width] for i in range(0, len(parts), width))
        joined += (_joined(group, spec_hash) for group in groups)
    return joined


def _joined(chunks: Sequence[Chunk], spec_hash: str) -> Chunk:
    first, last = chunks[0].part, chunks[-1].part
    if isinstance(first, ReportWindow | WholeFile) or isinstance(last, ReportWindow | WholeFile):
        (chunk,) = chunks
        return chunk
    counts = [chunk.expected_row_count for chunk in chunks]
    return chunk_of(
        chunks[0].input,
        dataclasses.replace(first, end=last.end),
        spec_hash,
        estimated_bytes=sum(chunk.estimated_bytes for chunk in chunks),
        expected_row_count=None if None in counts else sum(count or 0 for count in counts),
    )
